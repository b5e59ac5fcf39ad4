//! The consumer that a reader asks for, and the proof that it got it.
//!
//! Ephemeral, without acknowledgements, in the memory of one server: nothing of it needs to survive, since the only
//! truth about progress is viewd's checkpoint (I10). A server that does not know a setting ignores it in silence (2.9
//! delivers everything when asked for `filter_subjects`), so the echoed configuration is compared field by field.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::definition::subject::covers;
use crate::event::Sequence;

/// How long a consumer lives that nobody pulls from: long enough for a full queue, short enough not to pile up.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(5 * 60);

/// Exactly what is asked for and what must come back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) name: String,
    deliver_policy: String,
    opt_start_seq: u64,
    ack_policy: String,
    replay_policy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    filter_subject: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filter_subjects: Vec<String>,
    num_replicas: u64,
    mem_storage: bool,
    inactive_threshold: u64,
}

/// The body of CONSUMER.CREATE.
#[derive(Serialize)]
pub(super) struct Create<'a> {
    pub(super) stream_name: &'a str,
    pub(super) config: &'a Config,
    /// `create`: a consumer of that name must not exist.
    pub(super) action: &'static str,
}

impl Config {
    /// A consumer of what comes after a position.
    pub(super) fn after(position: Sequence, filters: &[String], name: String) -> Self {
        let mut filters = reduced(filters);
        let (filter_subject, filter_subjects) = match filters.len() {
            // One filter goes into the subject of the request, so that rights can be given for it.
            1 => (filters.remove(0), Vec::new()),
            _ => (String::new(), filters),
        };
        Self {
            name,
            deliver_policy: "by_start_sequence".to_owned(),
            opt_start_seq: position.next().0,
            ack_policy: "none".to_owned(),
            replay_policy: "instant".to_owned(),
            filter_subject,
            filter_subjects,
            num_replicas: 1,
            mem_storage: true,
            inactive_threshold: INACTIVE_THRESHOLD.as_nanos() as u64,
        }
    }

    pub(super) fn create_subject(&self, stream: &str) -> String {
        let name = &self.name;
        match self.filter_subject.as_str() {
            "" => format!("CONSUMER.CREATE.{stream}.{name}"),
            filter => format!("CONSUMER.CREATE.{stream}.{name}.{filter}"),
        }
    }

    /// What the server made otherwise than it was asked to.
    pub(super) fn difference(&self, echoed: &Self) -> Option<String> {
        let (asked, got) = (serde_json::to_value(self).ok()?, serde_json::to_value(echoed).ok()?);
        let fields = asked.as_object()?.keys().chain(got.as_object()?.keys());
        for field in fields {
            if asked.get(field) != got.get(field) {
                let shown = |value: Option<&serde_json::Value>| {
                    value.map_or("nothing".to_owned(), ToString::to_string)
                };
                return Some(format!(
                    "{field}: asked for {}, got {}",
                    shown(asked.get(field)),
                    shown(got.get(field))
                ));
            }
        }
        None
    }
}

/// The filters without those that another covers: the server refuses a filter within another.
fn reduced(filters: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for filter in filters {
        if kept.iter().any(|known| covers(known, filter)) {
            continue;
        }
        kept.retain(|known| !covers(filter, known));
        kept.push(filter.clone());
    }
    // Everything is what no filter gives, and cheaper for the server.
    kept.retain(|filter| filter != ">");
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_within_others_go() {
        for (filters, expected) in [
            (vec![], vec![]),
            (vec!["a"], vec!["a"]),
            (vec!["a", "a"], vec!["a"]),
            (vec!["a.b", "a.*"], vec!["a.*"]),
            (vec!["a.*", "a.b"], vec!["a.*"]),
            (vec!["a.>", "a.*.c", "b"], vec!["a.>", "b"]),
            (vec!["a.b", "a.>", "a.c"], vec!["a.>"]),
            (vec!["a.*.c", "a.b.*"], vec!["a.*.c", "a.b.*"]),
            (vec!["a.*", "a.>"], vec!["a.>"]),
            (vec!["a", "a.>"], vec!["a", "a.>"]),
            (vec!["a", ">"], vec![]),
        ] {
            let filters: Vec<_> = filters.into_iter().map(str::to_owned).collect();
            assert_eq!(reduced(&filters), expected, "{filters:?}");
        }
    }

    #[test]
    fn one_filter_stands_in_the_subject() {
        let create = |filters: &[&str]| {
            let filters: Vec<_> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            Config::after(Sequence(9), &filters, "n".to_owned()).create_subject("S")
        };
        assert_eq!(create(&[]), "CONSUMER.CREATE.S.n");
        assert_eq!(create(&["a.>"]), "CONSUMER.CREATE.S.n.a.>");
        assert_eq!(create(&["a", "b"]), "CONSUMER.CREATE.S.n");
    }

    #[test]
    fn an_ignored_setting_shows() {
        let asked = Config::after(Sequence(9), &["a".to_owned(), "b".to_owned()], "n".to_owned());
        assert_eq!(asked.difference(&asked), None);
        let old = Config { filter_subjects: Vec::new(), ..asked.clone() };
        assert_eq!(
            asked.difference(&old).unwrap(),
            r#"filter_subjects: asked for ["a","b"], got nothing"#
        );
        let moved = Config { opt_start_seq: 11, ..asked.clone() };
        assert_eq!(asked.difference(&moved).unwrap(), "opt_start_seq: asked for 10, got 11");
        // What a server adds is no difference.
        let echoed = serde_json::to_string(&asked)
            .unwrap()
            .replace("{", r#"{"max_waiting":512,"metadata":null,"#);
        assert_eq!(asked.difference(&serde_json::from_str(&echoed).unwrap()), None);
    }
}
