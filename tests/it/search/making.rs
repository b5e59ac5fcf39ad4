//! How far an index is that is made from the rows, and what a build waits for that has one: for whoever looks.

use std::fs;

use serde_json::{Value, json};
use viewd::status::{Making, Phase, Reason};

use super::rig::{DEFINITION, NAME, QUICK, Rig, follows, of};
use crate::daemon::{DEADLINE, Daemon};
use crate::nats::publish;
use crate::wait;

/// Of each event of the type `Many`.
const ROWS: u64 = 2_000;

/// The items of [`DEFINITION`], and many at once.
fn definition() -> String {
    let many = format!(
        "[[on]]\nevent = \"Many\"\nfor_each = \"[range(0; {ROWS})]\"\nupsert = \"items\"\nkey.id = \".data.id + $item\"\n\
         set.title = '\"a red title \\($item)\"'\nset.note = '\"a note of the \\($item)th row\"'\n"
    );
    DEFINITION.replace("event     = \"*\"", "event     = \"Item\"").replacen(
        "[search.items]",
        &format!("{many}\n[search.items]"),
        1,
    )
}

/// So many times [`ROWS`] rows; the sequence of the last event.
async fn many(rig: &Rig, times: u64) -> u64 {
    let event = |n: u64| {
        let event = json!({ "type": "Many", "data": { "id": 1_000_000 + n * ROWS } });
        ("s.a".to_owned(), event.to_string().into_bytes())
    };
    publish(&rig.client, (0..times).map(event)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_sees_how_far_an_index_is() {
    let rig = Rig::new(&definition()).await;
    let daemon = rig.site.start(QUICK);
    let last = many(&rig, 10).await;
    follows(&daemon, "items", last);
    let total = 10 * ROWS;
    // One that is lost while it is searched. A quick machine may have made it again between two looks.
    let made = || rig.site.log().matches("index made again").count();
    let detail = wait::until("an index that is being made", DEADLINE, || {
        let before = made();
        // At once, whatever is merged in it.
        fs::rename(rig.index("items"), rig.site.path(&format!("lost-{before}"))).unwrap();
        let out = rig.ends(3, &["verify", NAME]);
        assert!(out.contains("its files are gone; it is made again from the rows"), "{out}");
        let seen = wait::until("it is made", DEADLINE, || {
            let report = daemon.projection(NAME);
            let index = of(&report, "items");
            match (index.state.as_str(), &index.detail) {
                ("rebuilding", Some(detail)) if detail.contains(" rows are in it") => {
                    assert_eq!(report.reason, Some(Reason::Search), "{report:?}");
                    Some(Some(detail.clone()))
                }
                _ => (made() > before).then_some(None),
            }
        });
        follows(&daemon, "items", last);
        seen
    });
    let far = detail.split(": ").nth(1).unwrap();
    assert!(
        far.contains(&format!(" of {total} rows are in it"))
            || far == format!("all {total} rows are in it, its files are merged"),
        "{detail}"
    );
    rig.verified();

    // One that a build makes.
    let making = wait::until("a build that makes an index", DEADLINE, || {
        let (code, body) = daemon.post(&format!("/v1/admin/projections/{NAME}/rebuild"));
        assert_eq!(code, 202, "{body}");
        let number = operation(&body)["operation"].clone();
        wait::until("the build", DEADLINE, || {
            let (_, body) = daemon.get(&format!("/v1/admin/operations/{number}"));
            let shown = operation(&body);
            let making = shown["rebuild"]["index"].clone();
            match shown["state"].as_str() {
                Some("running") if making.is_null() => None,
                Some("running") => {
                    assert_eq!(shown["rebuild"]["phase"], Phase::Sealing.word(), "{body}");
                    Some(serde_json::from_value::<Option<Making>>(making).unwrap())
                }
                _ => Some(None),
            }
        })
    });
    assert_eq!((making.index.as_str(), making.total), ("items", total));
    assert!(making.rows > 0 && making.rows <= total, "{making:?}");
    wait::until("the cut-over", DEADLINE, || {
        let report = daemon.projection(NAME);
        report.rebuild.is_none().then_some(())
    });
    let made = rig.site.log();
    let made = made.lines().find(|line| line.contains("index made ")).expect("a line of the log");
    assert!(made.contains("index=\"items\"") && made.contains(&format!("rows={total}")), "{made}");
}

fn operation(body: &str) -> Value {
    let body: Value = serde_json::from_str(body).unwrap();
    body["data"][0].clone()
}

/// A build may not be served before its index shows what is searched: until then it says what it waits for.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_says_which_index_it_waits_for() {
    let rig = Rig::new(DEFINITION).await;
    let daemon = rig.site.start(QUICK);
    let last = rig.publish(300, 40).await;
    follows(&daemon, "items", last);
    rig.ends(0, &["rebuild", NAME, "--hold"]);
    // Nothing can be committed to it any more; what is searched goes on.
    let meta = rig.site.path("data").join(NAME).join("gen-000002/search/items/meta.json");
    let kept = fs::read(&meta).unwrap();
    fs::remove_file(&meta).unwrap();
    fs::create_dir(&meta).unwrap();
    let last = rig.publish(300, 40).await;
    follows(&daemon, "items", last);
    let (code, body) = daemon.post(&format!("/v1/admin/projections/{NAME}/promote"));
    assert_eq!(code, 202, "{body}");
    let number = operation(&body)["operation"].clone();
    let shown =
        |daemon: &Daemon| operation(&daemon.get(&format!("/v1/admin/operations/{number}")).1);
    let waits = wait::until("what it waits for", DEADLINE, || {
        let shown = shown(&daemon);
        assert_eq!(shown["state"], "running", "{shown}");
        shown["detail"].as_str().map(str::to_owned)
    });
    assert!(waits.contains("index `items`"), "{waits}");
    assert_eq!(daemon.projection(NAME).generation, 1);
    fs::remove_dir(&meta).unwrap();
    fs::write(&meta, kept).unwrap();
    wait::until("the cut-over", DEADLINE, || (shown(&daemon)["state"] == "done").then_some(()));
    assert_eq!(shown(&daemon)["detail"], Value::Null);
    // Once, however often they have met.
    let log = rig.site.log();
    let said = log.lines().filter(|line| line.contains("build waits") && line.contains(&waits));
    assert_eq!(said.count(), 1, "{log}");
    follows(&daemon, "items", last);
    rig.verified();
}
