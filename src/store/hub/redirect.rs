//! The target of a redirect: `Location`, resolved against the address that answered (RFC 3986, section 5).

use iri_string::types::{UriAbsoluteStr, UriReferenceStr};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use ureq::http::header::LOCATION;
use ureq::http::{HeaderMap, Uri};

/// Characters that servers leave unescaped although RFC 3986 does not allow them.
const STRAY: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The next address. `Err` says what is wrong with the redirect.
pub(super) fn target(from: &Uri, headers: &HeaderMap) -> Result<Uri, String> {
    let location = headers.get(LOCATION).ok_or("a redirect without `Location`")?;
    let location = percent_encode(location.as_bytes(), &STRAY).to_string();
    let nowhere = || format!("a redirect to `{location}`, which is not a valid address");
    let base = percent_encode(from.to_string().as_bytes(), &STRAY).to_string();
    let base = UriAbsoluteStr::new(&base).map_err(|_| nowhere())?;
    let reference = UriReferenceStr::new(&location).map_err(|_| nowhere())?;
    let to: Uri = reference.resolve_against(base).to_string().parse().map_err(|_| nowhere())?;
    match (from.scheme_str(), to.scheme_str()) {
        (_, Some("https")) | (Some("http"), Some("http")) => {}
        (_, Some("http")) => return Err(format!("a redirect from https to `{to}`")),
        _ => return Err(format!("a redirect to `{location}`, which is neither http nor https")),
    }
    if to.host().is_none_or(str::is_empty) {
        return Err(nowhere());
    }
    Ok(to)
}

/// Whether two addresses belong to the same server, so that both may see the token.
pub(super) fn is_same_origin(a: &Uri, b: &Uri) -> bool {
    let port =
        |it: &Uri| it.port_u16().or(if it.scheme_str() == Some("https") { Some(443) } else { Some(80) });
    let host = |it: &Uri| it.host().map(str::to_ascii_lowercase);
    a.scheme() == b.scheme() && host(a) == host(b) && host(a).is_some() && port(a) == port(b)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn redirected(from: &str, location: &str) -> Result<String, String> {
        let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
        target(&from.parse().unwrap(), &headers).map(|it| it.to_string())
    }

    #[test]
    fn every_form_of_location_is_resolved_as_rfc_3986_says() {
        let from = "https://hub.example:8443/a/b/c?x=1";
        for (location, expected) in [
            ("https://other.example/f", "https://other.example/f"),
            ("/f/g", "https://hub.example:8443/f/g"),
            ("f", "https://hub.example:8443/a/b/f"),
            ("./f?y=2#part", "https://hub.example:8443/a/b/f?y=2"),
            ("../../x", "https://hub.example:8443/x"),
            ("../../../../x", "https://hub.example:8443/x"),
            ("//cdn.example/f", "https://cdn.example/f"),
            ("?y=2", "https://hub.example:8443/a/b/c?y=2"),
            ("", "https://hub.example:8443/a/b/c?x=1"),
            ("/two words/{id}", "https://hub.example:8443/two%20words/%7Bid%7D"),
            ("/f%2Fg?sig=a%2Bb", "https://hub.example:8443/f%2Fg?sig=a%2Bb"),
            ("HTTPS://Other.example/f", "https://Other.example/f"),
        ] {
            assert_eq!(redirected(from, location).as_deref(), Ok(expected), "{location}");
        }
        assert_eq!(redirected("http://a/b", "http://c/d").as_deref(), Ok("http://c/d"));
        assert_eq!(redirected("http://a/b", "https://c/d").as_deref(), Ok("https://c/d"));
    }

    #[test]
    fn a_redirect_that_must_not_be_followed_is_an_error_with_its_target() {
        for (location, expected) in [
            ("http://other.example/f", "a redirect from https to `http://other.example/f`"),
            ("ftp://other.example/f", "neither http nor https"),
            ("file:///etc/passwd", "a redirect to `file:///etc/passwd`"),
            ("http://[", "which is not a valid address"),
        ] {
            let got = redirected("https://hub.example/a", location).unwrap_err();
            assert!(got.contains(expected), "{location}: {got}");
        }
        let got = target(&"http://a/b".parse().unwrap(), &HeaderMap::new()).unwrap_err();
        assert_eq!(got, "a redirect without `Location`");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let is_same = |a: &str, b: &str| is_same_origin(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(is_same("https://Hub.example/a", "https://hub.example:443/b"));
        assert!(!is_same("https://hub.example/a", "http://hub.example/a"));
        assert!(!is_same("http://hub.example:80/a", "http://hub.example:81/a"));
        assert!(!is_same("https://hub.example/a", "https://hub.example.evil/a"));
        assert!(!is_same("https://hub.example/a", "https://hub.example@evil/a"));
    }
}
