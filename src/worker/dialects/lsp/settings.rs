//! What a person can adjust: the settings of section `runabout`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use runabout_assist::{DEFAULT_MIN_CONFIDENCE, NextEditForm};
use serde::Serialize;
use serde_json::{Map, Value};

/// The settings in effect for one client.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    /// Whether text is suggested without being asked for.
    pub(super) enabled: bool,
    /// The same by language; `*` stands for all others.
    pub(super) languages: BTreeMap<String, bool>,
    /// Automatic suggestions with less confidence than this are not offered.
    pub(super) min_confidence: f64,
    pub(super) multiline: Multiline,
    pub(super) max_tokens: u32,
    /// How many texts are generated when the person asks for one.
    pub(super) alternatives: u32,
    pub(super) context: ContextSource,
    /// Whether what follows a suggestion is computed while nothing else is.
    pub(super) ahead: bool,
    pub(super) completion_list: bool,
    /// The name of the form in which the model is asked for the next edit, or [`AUTO`].
    pub(super) next_edit: &'static str,
    pub(super) statistics: bool,
}

/// The model decides.
const AUTO: &str = "auto";

/// Whether a suggestion may have several lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Multiline {
    /// As many as the code at the cursor calls for.
    Auto,
    Never,
}

/// What the model sees besides the document at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ContextSource {
    /// Nothing.
    File,
    /// Other files of the project.
    Project,
}

/// The names of all settings.
const NAMES: [&str; 11] = [
    "enabled",
    "languages",
    "minConfidence",
    "multiline",
    "maxTokens",
    "alternatives",
    "context",
    "ahead",
    "completionList",
    "nextEdit",
    "statistics",
];

/// Reads settings one by one.
struct Reader<'a> {
    section: Option<&'a Map<String, Value>>,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// The setting `name`, or the default if it is absent, `null`, or not what was `expected`.
    fn get<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
        default: T,
    ) -> T {
        let Some(value) = self.section.and_then(|it| it.get(name)).filter(|it| !it.is_null()) else {
            return default;
        };
        read(value).unwrap_or_else(|| {
            self.problems.push(format!("the setting `{name}` must be {expected}; the default is used."));
            default
        })
    }
}

/// Lua and Emacs write an empty object as an empty array.
fn languages(value: &Value) -> Option<BTreeMap<String, bool>> {
    if value.as_array().is_some_and(Vec::is_empty) {
        return Some(BTreeMap::new());
    }
    let entries = value.as_object()?.iter();
    entries.map(|(language, it)| Some((language.clone(), it.as_bool()?))).collect()
}

/// An integer in these bounds, which some clients write as a float.
fn integer(value: &Value, bounds: RangeInclusive<u32>) -> Option<u32> {
    let number = value.as_f64().filter(|it| it.fract() == 0.0)?;
    let fits = (f64::from(*bounds.start())..=f64::from(*bounds.end())).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be within the bounds"
    )]
    fits.then_some(number as u32)
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            languages: BTreeMap::new(),
            min_confidence: DEFAULT_MIN_CONFIDENCE,
            multiline: Multiline::Auto,
            max_tokens: 128,
            alternatives: 3,
            // Other files cost a longer prompt, and a small model's suggestions are no better with them.
            context: ContextSource::File,
            ahead: true,
            completion_list: false,
            next_edit: AUTO,
            statistics: true,
        }
    }
}

impl Settings {
    /// Reads the section `runabout` of a client's settings. What is absent or wrong has its default; for each wrong
    /// setting there is a sentence.
    pub(super) fn read(section: &Value) -> (Self, Vec<String>) {
        let default = Self::default();
        let mut reader = Reader { section: section.as_object(), problems: Vec::new() };
        if let Some(section) = reader.section {
            for name in section.keys().filter(|it| !NAMES.contains(&it.as_str())) {
                tracing::warn!(name, "unknown setting");
            }
        }
        let boolean = |it: &Value| it.as_bool();
        let settings = Self {
            enabled: reader.get("enabled", "true or false", boolean, default.enabled),
            languages: reader.get(
                "languages",
                "an object of languages with true or false",
                languages,
                default.languages,
            ),
            min_confidence: reader.get(
                "minConfidence",
                "a number between 0 and 1",
                |it| it.as_f64().filter(|it| (0.0..=1.0).contains(it)),
                default.min_confidence,
            ),
            multiline: reader.get(
                "multiline",
                "\"auto\" or \"never\"",
                |it| match it.as_str()? {
                    "auto" => Some(Multiline::Auto),
                    "never" => Some(Multiline::Never),
                    _ => None,
                },
                default.multiline,
            ),
            max_tokens: reader.get(
                "maxTokens",
                "a whole number between 1 and 8192",
                |it| integer(it, 1..=8192),
                default.max_tokens,
            ),
            alternatives: reader.get(
                "alternatives",
                "a whole number between 1 and 8",
                |it| integer(it, 1..=8),
                default.alternatives,
            ),
            context: reader.get(
                "context",
                "\"file\" or \"project\"",
                |it| match it.as_str()? {
                    "file" => Some(ContextSource::File),
                    "project" => Some(ContextSource::Project),
                    _ => None,
                },
                default.context,
            ),
            ahead: reader.get("ahead", "true or false", boolean, default.ahead),
            completion_list: reader.get("completionList", "true or false", boolean, default.completion_list),
            next_edit: reader.get(
                "nextEdit",
                "\"auto\", \"sweep\", \"sweep-v2\", \"zeta-2\", \"zeta-2.1\" or \"fill_in_the_middle\"",
                |it| match it.as_str()? {
                    AUTO => Some(AUTO),
                    name => NextEditForm::named(name).map(NextEditForm::name),
                },
                default.next_edit,
            ),
            statistics: reader.get("statistics", "true or false", boolean, default.statistics),
        };
        (settings, reader.problems)
    }

    /// The form in which the model is asked for the next edit; `None` leaves it to the model.
    pub(super) fn next_edit_form(&self) -> Option<NextEditForm> {
        NextEditForm::named(self.next_edit)
    }

    /// Whether text is suggested in this language without being asked for.
    pub(super) fn suggests_in(&self, language: &str) -> bool {
        let by_language = self.languages.get(language).or_else(|| self.languages.get("*"));
        self.enabled && by_language.copied().unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_settings_are_read_by_name_and_the_rest_has_defaults() {
        assert_eq!(Settings::read(&Value::Null), (Settings::default(), vec![]));
        let all = json!({
            "enabled": false, "languages": {"rust": true}, "minConfidence": 0.5, "multiline": "never",
            "maxTokens": 32.0, "alternatives": 1, "context": "project", "ahead": false, "completionList": true,
            "nextEdit": "zeta-2.1", "statistics": false, "colour": "red",
        });
        let (settings, problems) = Settings::read(&all);
        assert_eq!(problems, Vec::<String>::new());
        let mut written = serde_json::to_value(settings).unwrap_or_default();
        written["colour"] = "red".into();
        written["maxTokens"] = 32.0.into();
        assert_eq!(written, all);
    }

    #[test]
    fn a_wrong_setting_has_its_default_and_a_sentence() {
        let wrong = json!({
            "enabled": "yes", "languages": {"rust": 1}, "minConfidence": 2, "multiline": "sometimes", "maxTokens": 0.5,
            "alternatives": 9, "context": 1, "ahead": [], "completionList": 0, "nextEdit": "zeta",
            "statistics": {},
        });
        let (settings, problems) = Settings::read(&wrong);
        assert_eq!(settings, Settings::default());
        assert_eq!(problems.len(), NAMES.len());
        assert_eq!(problems[0], "the setting `enabled` must be true or false; the default is used.");
        assert_eq!(Settings::read(&json!({"languages": [], "enabled": null})), (Settings::default(), vec![]));
    }

    #[test]
    fn suggestions_are_switched_off_by_language() {
        let with = |languages: Value| Settings::read(&json!({"languages": languages})).0;
        assert!(with(json!({"rust": false})).suggests_in("python"));
        assert!(!with(json!({"rust": false})).suggests_in("rust"));
        let only_rust = with(json!({"rust": true, "*": false}));
        assert!(only_rust.suggests_in("rust") && !only_rust.suggests_in("python"));
        assert!(!Settings { enabled: false, ..only_rust }.suggests_in("rust"));
    }
}
