// `std::format` for C++ libraries that have none (gcc before 13), put before every file of mlx-c.
// mlx-c's `private/io.h` is its only user, with plain `{}` placeholders, so that is all this does.
#pragma once

#include <version>

#if defined(__cpp_lib_format)
#include <format>
#else

#include <sstream>
#include <string>
#include <string_view>

namespace std {

template <class... Args>
string format(string_view text, const Args&... args) {
  ostringstream out;
  [[maybe_unused]] auto put = [&](const auto& arg) {
    auto hole = text.find("{}");
    if (hole == string_view::npos) {
      return;
    }
    out << text.substr(0, hole) << arg;
    text.remove_prefix(hole + 2);
  };
  (put(args), ...);
  out << text;
  return out.str();
}

} // namespace std

#endif
