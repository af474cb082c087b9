//! Jinja2's `urlize`, which turns web and mail addresses in a text into HTML links.
//!
//! A port of `jinja2.utils.urlize`, whose regular expressions and order of rules determine what counts as an address.

use std::sync::LazyLock;

use minijinja::value::{Kwargs, Rest};
use minijinja::{Error, State, Value};
use regex::Regex;

use super::arguments::{argument, invalid};
use super::escape::escaped;
use super::{paid_str, str};

static WEB: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)^
        ( (https?://|www\.) (([\w%-]+\.)+)? ([a-z]{2,63} | xn--[\w%]{2,59})
        | ([\w%-]{2,63}\.)+ (com|net|int|edu|gov|org|info|mil)
        | (https?://) ( ([\d]{1,3})(\.[\d]{1,3}){3} | (\[([\da-f]{0,4}:){2}([\da-f]{0,4}:?){1,6}\]) )
        )
        (?::[\d]{1,5})? (?:[/?\#]\S*)? $",
    )
});
static MAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\S+@\w[\w.-]*\.\w+$"));
static WORD: LazyLock<Regex> = LazyLock::new(|| pattern(r"\s+|\S+"));
static HEAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([(<]|&lt;)+"));
static TAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"([)>.,\n]|&gt;)+$"));
static SCHEME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([\w.+-]{2,}:(/){0,2})$"));

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern is tested")
}

#[expect(clippy::needless_pass_by_value, reason = "minijinja hands arguments over by value")]
pub(super) fn urlize(
    state: &State,
    value: &Value,
    rest: Rest<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let limit = argument(&rest, &kwargs, 0, "trim_url_limit")?;
    let limit =
        limit.map(|it| it.as_usize().ok_or_else(|| invalid("`trim_url_limit` must be a whole number")));
    let no_follow = argument(&rest, &kwargs, 1, "nofollow")?.is_some_and(|it| it.is_true());
    let target = argument(&rest, &kwargs, 2, "target")?.map(|it| str(&it));
    let rel = argument(&rest, &kwargs, 3, "rel")?.map(|it| str(&it)).unwrap_or_default();
    let schemes = argument(&rest, &kwargs, 4, "extra_schemes")?;
    kwargs.assert_all_used()?;

    // The attributes of links follow Jinja2's default policy.
    let mut rel: Vec<&str> = rel.split_whitespace().chain(["noopener"]).collect();
    rel.extend(no_follow.then_some("nofollow"));
    rel.sort_unstable();
    rel.dedup();
    let mut attributes = format!(" rel=\"{}\"", escaped(&rel.join(" ")));
    if let Some(target) = target.filter(|it| !it.is_empty()) {
        attributes = format!("{attributes} target=\"{}\"", escaped(&target));
    }
    let schemes: Vec<String> = match schemes {
        Some(schemes) => schemes.try_iter()?.map(|it| str(&it)).collect(),
        None => Vec::new(),
    };
    if let Some(bad) = schemes.iter().find(|it| !SCHEME.is_match(it)) {
        return Err(invalid(format!("'{bad}' is not a valid URI scheme prefix.")));
    }
    let links = Links { limit: limit.transpose()?.filter(|it| *it > 0), attributes, schemes };
    let text = escaped(&paid_str(state, value)?);
    // Each word is matched against up to five patterns.
    state.consume_fuel(text.len() as u64 / 4)?;
    Ok(WORD.find_iter(&text).map(|word| links.word(word.as_str())).collect())
}

struct Links {
    /// The maximum number of characters of an address that are shown; `None` for all.
    limit: Option<usize>,
    attributes: String,
    schemes: Vec<String>,
}

impl Links {
    /// A word with its address as a link, if it is one. White space stays unchanged.
    fn word(&self, word: &str) -> String {
        let (head, middle) = word.split_at(HEAD.find(word).map_or(0, |it| it.end()));
        let (middle, tail) = middle.split_at(TAIL.find(middle).map_or(middle.len(), |it| it.start()));
        let (mut middle, mut tail) = (middle.to_owned(), tail);
        for (opening, closing) in [("(", ")"), ("<", ">"), ("&lt;", "&gt;")] {
            let n_open = middle.matches(opening).count();
            if n_open > middle.matches(closing).count() {
                for _ in 0..n_open.min(tail.matches(closing).count()) {
                    let end = tail.find(closing).map_or(0, |it| it + closing.len());
                    middle.push_str(&tail[..end]);
                    tail = &tail[end..];
                }
            }
        }
        format!("{head}{}{tail}", self.linked(&middle).unwrap_or(middle))
    }

    fn linked(&self, text: &str) -> Option<String> {
        let attributes = &self.attributes;
        if WEB.is_match(text) {
            let scheme =
                if text.starts_with("https://") || text.starts_with("http://") { "" } else { "https://" };
            let shown = self.shown(text);
            return Some(format!("<a href=\"{scheme}{text}\"{attributes}>{shown}</a>"));
        }
        if let Some(address) = text.strip_prefix("mailto:").filter(|it| MAIL.is_match(it)) {
            return Some(format!("<a href=\"{text}\">{address}</a>"));
        }
        let can_be_mail = !text.starts_with("www.") && !text.starts_with('@') && !text.contains(':');
        if can_be_mail && MAIL.is_match(text) {
            return Some(format!("<a href=\"mailto:{text}\">{text}</a>"));
        }
        let is_known = self.schemes.iter().any(|it| text != it && text.starts_with(it));
        is_known.then(|| format!("<a href=\"{text}\"{attributes}>{text}</a>"))
    }

    fn shown(&self, text: &str) -> String {
        match self.limit {
            Some(limit) if text.chars().count() > limit => {
                text.chars().take(limit).chain("...".chars()).collect()
            }
            _ => text.to_owned(),
        }
    }
}
