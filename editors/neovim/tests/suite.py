"""Runs the tests in a real Neovim against the real worker and model; see `../test`."""

import sys
import unittest

MODULES = ("text_rules", "ghost_text", "next_edit", "chat", "process")


def main():
    arguments = sys.argv[1:]
    if "--picture" in arguments:
        import picture

        picture.make()
        return 0
    latency = "--latency" in arguments
    names = [name for name in arguments if not name.startswith("-")]
    suite = unittest.TestSuite()
    if not latency:
        for module in MODULES:
            for group in unittest.defaultTestLoader.loadTestsFromName(module):
                for test in group:
                    if not names or any(name in test.id() for name in names):
                        suite.addTest(test)
        outcome = unittest.TextTestRunner(verbosity=2).run(suite)
        if not outcome.wasSuccessful():
            return 1
    if latency or not names:
        import latency as measurement

        measurement.report()
    return 0


if __name__ == "__main__":
    sys.exit(main())
