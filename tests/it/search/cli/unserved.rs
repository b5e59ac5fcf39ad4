//! An index that the definition on disk declares, and what is served does not have.

use serde_json::Value;

use super::super::rig::{DEFINITION, NAME, QUICK, Rig};

/// `items` as it is declared, or less.
fn definition(items: bool, notes: bool) -> String {
    let (rest, search) = DEFINITION.split_at(DEFINITION.find("[search.items]").unwrap());
    let notes = notes.then_some("[search.notes]\ntable = \"items\"\nfields.note = {}\n");
    format!("{rest}{}{}", if items { search } else { "" }, notes.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_not_served_yet_says_what_serves_it() {
    let rig = Rig::new(&definition(false, false)).await;
    let last = rig.publish(60, 20).await;
    let daemon = rig.site.start(&[QUICK, &["rebuild.auto=false"]].concat());
    daemon.reaches(NAME, last);
    let check = |index: &str, status: u16, code: &str, said: &str, hint: &str| {
        let (found, body) = daemon.get(&format!("/v1/projections/{NAME}/search/{index}"));
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{body}");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{body}");
        assert!(problem["hint"].as_str().unwrap().contains(hint), "{body}");
    };
    check("items", 404, "unknown-index", "no full-text index `items`", "declares one");
    // The first one, and then another beside it.
    for (other, index) in [(false, "items"), (true, "notes")] {
        rig.edit(&definition(true, other));
        rig.ends(0, &["reload"]);
        let plan = "`viewd plan`";
        check(index, 503, "index-unavailable", "declared on disk, and not served", plan);
        check("itms", 404, "unknown-index", "`itms`", "did you mean `items`?");
        rig.ends(0, &["rebuild", NAME, "--hold"]);
        check(index, 503, "index-unavailable", "is held", &format!("viewd promote {NAME}"));
        let out = rig.ends(69, &["search", NAME, index, "red"]);
        assert!(out.contains("Hint: viewd --config") && out.contains("promote items"), "{out}");
        let status = rig.ends(0, &["status"]);
        let next: Vec<_> = status.lines().filter(|line| line.contains("next: ")).collect();
        assert!(matches!(next[..], [next] if next.ends_with("promote items")), "{status}");
        rig.ends(0, &["promote", NAME]);
        rig.ends(0, &["search", NAME, index, "red"]);
    }
}
