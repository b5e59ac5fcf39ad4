//! Indexes follow the rows: live, over restarts, definitions and builds.

use viewd::status::State;

use super::rig::{DEFINITION, NAME, QUICK, Rig, follows};

#[tokio::test(flavor = "multi_thread")]
async fn an_index_follows_its_rows_and_goes_on_after_a_restart() {
    let rig = Rig::new(DEFINITION).await;
    let daemon = rig.site.start(QUICK);
    let last = rig.publish(300, 40).await;
    let index = follows(&daemon, "items", last);
    assert_eq!(index.documents, Some(rig.rows("items")));
    // With the daemon, which compares what it searches.
    rig.verified();
    assert!(daemon.terminate().success(), "{}", rig.site.log());
    // What it had at the end is on the disk.
    let stopped = rig.json(&["status"]);
    let index = &stopped["projections"][0]["search"][0];
    assert_eq!(index["sequence"], last, "{stopped}");
    assert_eq!(index["documents"], rig.rows("items"));
    rig.verified();

    let daemon = rig.site.start(QUICK);
    let last = rig.publish(200, 60).await;
    follows(&daemon, "items", last);
    let report = daemon.projection(NAME);
    assert_eq!((report.state, report.reason), (State::Live, None), "{report:?}");
    assert!(daemon.terminate().success(), "{}", rig.site.log());
    rig.verified();
    assert!(!rig.site.log().contains("made again"), "{}", rig.site.log());
}
