//! `[policy]`: what to do when something goes wrong, and how soon rows are wanted.

use std::time::Duration;

use crate::definition::{OnError, OnGap, OnSourceChange, Policy};
use crate::syntax::{Kind, Report, Table, Value};

/// Each dead letter is kept whole, payload and headers.
const DEAD_LETTERS_MAX: i64 = 1_000_000;

/// A target beyond this would never raise an alert that anybody could act upon.
const FRESHNESS_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const KEYS: [&str; 5] = ["on_error", "dead_letters_max", "on_gap", "on_source_change", "freshness"];

/// What each word means, for whoever has written another one.
const ON_ERROR: &str = "an event that fails: \"park\" sets it aside, and those of its order_key behind it; \"skip\" sets aside it alone; \"halt\" stops the projection";
const ON_GAP: &str = "events that the stream no longer has: \"halt\" stops the projection before them; \"continue\" goes on past them and counts them as missed; \"rebuild\" builds the view from what the stream still holds";
const ON_SOURCE_CHANGE: &str = "a stream that is not the same any more: \"halt\" stops the projection; \"rebuild\" builds the view from the stream as it now is";

impl Default for Policy {
    fn default() -> Self {
        Self {
            on_error: OnError::Park,
            dead_letters_max: 1_000,
            on_gap: OnGap::Halt,
            on_source_change: OnSourceChange::Halt,
            freshness: Duration::from_secs(5),
        }
    }
}

/// Reads the policy; what is not said or is wrong has its default.
pub(super) fn read(report: &mut Report, value: Option<&Value>) -> Policy {
    let mut policy = Policy::default();
    let Some(table) = value.and_then(|value| report.table(value, "`policy`")) else {
        return policy;
    };
    report.unknown_keys(table, "`policy`", &KEYS);
    let words = [OnError::Park, OnError::Halt, OnError::Skip].map(|word| (word.as_str(), word));
    choose(report, table, "on_error", &words, ON_ERROR, &mut policy.on_error);
    let words = [OnGap::Halt, OnGap::Continue, OnGap::Rebuild].map(|word| (word.as_str(), word));
    choose(report, table, "on_gap", &words, ON_GAP, &mut policy.on_gap);
    let words = [OnSourceChange::Halt, OnSourceChange::Rebuild].map(|word| (word.as_str(), word));
    let hint = ON_SOURCE_CHANGE;
    choose(report, table, "on_source_change", &words, hint, &mut policy.on_source_change);
    if let Some(value) = table.get("dead_letters_max") {
        match value.kind {
            Kind::Integer(Some(count @ 0..=DEAD_LETTERS_MAX)) => {
                policy.dead_letters_max = count.unsigned_abs();
            }
            Kind::Integer(_) => {
                report
                    .error(&value.span, "`dead_letters_max` must be between 0 and 1000000")
                    .label("out of range")
                    .hint(
                        "with more dead letters than this the projection fails; there is no \"unlimited\", as each is kept whole"
                            .to_owned(),
                    );
            }
            _ => {
                let message = format!(
                    "`dead_letters_max` must be a whole number, not {}",
                    value.kind.describe()
                );
                report.error(&value.span, message).label("expected a whole number");
            }
        }
    }
    if let Some(value) = table.get("freshness") {
        policy.freshness = freshness(report, value).unwrap_or(policy.freshness);
    }
    policy
}

fn choose<T: Copy>(
    report: &mut Report,
    table: &Table,
    key: &str,
    words: &[(&str, T)],
    meanings: &str,
    chosen: &mut T,
) {
    let Some(value) = table.get(key) else { return };
    let Some(text) = report.text(value, &format!("`{key}`")) else { return };
    match words.iter().find(|(word, _)| *word == text.value) {
        Some((_, meant)) => *chosen = *meant,
        None => {
            let all: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            report
                .error(&value.span, format!("`{key}` cannot be `{}`", text.value))
                .label(format!("expected {}", all.join(" or ")))
                .hint(meanings.to_owned());
        }
    }
}

fn freshness(report: &mut Report, value: &Value) -> Option<Duration> {
    let problem = match &value.kind {
        Kind::String(text) => match duration(&text.value) {
            Some(Duration::ZERO) => "it must be longer than nothing",
            Some(duration) if duration > FRESHNESS_MAX => "it may be a week at most",
            Some(duration) => return Some(duration),
            None => "a number with its unit is wanted",
        },
        Kind::Integer(_) | Kind::Float(_) => "the unit is missing",
        _ => "a number with its unit is wanted",
    };
    report
        .error(&value.span, format!("`freshness` is not a duration that can be used: {problem}"))
        .label("expected a duration")
        .hint("write \"500ms\", \"5s\", \"2m\" or \"1h\"".to_owned());
    None
}

/// Reads `500ms`, `5s`, `2m`, `1h`, `1d`.
pub fn duration(text: &str) -> Option<Duration> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(digits_end);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit_ms).map(Duration::from_millis)
}

impl OnError {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Park => "park",
            Self::Halt => "halt",
            Self::Skip => "skip",
        }
    }
}

impl OnGap {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Halt => "halt",
            Self::Continue => "continue",
            Self::Rebuild => "rebuild",
        }
    }
}

impl OnSourceChange {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Halt => "halt",
            Self::Rebuild => "rebuild",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected_ms) in [
            ("500ms", Some(500)),
            ("5s", Some(5_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("1d", Some(86_400_000)),
            ("0s", Some(0)),
            ("5", None),
            ("s", None),
            ("-5s", None),
            ("1.5s", None),
            ("5 s", None),
            ("99999999999999999999d", None),
            ("", None),
        ] {
            assert_eq!(duration(text), expected_ms.map(Duration::from_millis), "{text}");
        }
    }
}
