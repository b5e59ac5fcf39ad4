//! What a changed definition leads to: words are adopted, shapes made from the rows, rows from the stream; until then the
//! generation that is served goes on by the definition that it was built by.

use std::time::Duration;

use super::{NAME, Rig, definition, live, settled};
use crate::daemon::DEADLINE;
use crate::wait;

const MESSAGES: u64 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn words_are_adopted() {
    let rig = Rig::new(MESSAGES).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    let text = format!("description = \"other words\"\n{}", definition(1));
    rig.site.write(&format!("projections/{NAME}.toml"), &text);
    rig.ends(0, &["reload"]);
    wait::until_eq("the other words", DEADLINE, &text, || {
        let sql = "SELECT text FROM _viewd_definition";
        rig.site.view(NAME).query_row(sql, (), |row| row.get(0)).unwrap()
    });
    let last = rig.publish(10).await;
    live(&daemon, last);
    settled(&daemon);
    assert_eq!((rig.served().0, rig.generations().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_made_of_the_rows_without_the_stream() {
    let rig = Rig::new(MESSAGES).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    let before = rig.digest();
    // Nothing could be read again: what the copy holds it has of the rows.
    rig.purge(MESSAGES).await;
    rig.index(0);
    rig.ends(0, &["reload"]);
    wait::until_eq("the copy", DEADLINE, &2, || rig.served().0);
    settled(&daemon);
    assert_eq!(rig.digest(), before);
    let plan = "EXPLAIN QUERY PLAN SELECT * FROM items WHERE last = 7 AND version = 1";
    let plan: String = rig.site.view(NAME).query_row(plan, (), |row| row.get(3)).unwrap();
    assert!(plan.contains("USING INDEX"), "{plan}");
    let last = rig.publish(10).await;
    assert_eq!(last, MESSAGES + 10);
    live(&daemon, last);
    rig.ends(0, &["verify", NAME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn until_its_cut_over_the_old_definition_goes_on() {
    let rig = Rig::new(MESSAGES).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    rig.edit(2);
    rig.ends(0, &["rebuild", NAME, "--hold"]);
    let last = rig.publish(50).await;
    live(&daemon, last);
    assert_eq!(rig.served(), (1, Some(1)));
    assert_eq!(rig.versions(), [1]);
    // A restart changes nothing of that.
    assert!(daemon.terminate().success());
    let last = rig.publish(50).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, last);
    wait::pass(Duration::from_millis(300));
    assert_eq!((rig.served(), rig.versions()), ((1, Some(1)), vec![1]));
    assert!(daemon.projection(NAME).rebuild.is_some(), "the build waits to be promoted");
    rig.ends(0, &["promote", NAME]);
    assert_eq!((rig.served(), rig.versions()), ((2, Some(2)), vec![2]));
    settled(&daemon);
    assert_eq!(rig.digest(), rig.undisturbed());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_auto_a_changed_definition_waits_for_a_command() {
    let rig = Rig::new(MESSAGES).await;
    rig.site.catch_up(&[]);
    rig.edit(2);
    let daemon = rig.site.start(&["rebuild.auto=false"]);
    let last = rig.publish(50).await;
    live(&daemon, last);
    settled(&daemon);
    assert_eq!((rig.served(), rig.versions()), ((1, Some(1)), vec![1]));
    rig.ends(0, &["rebuild", NAME]);
    assert_eq!((rig.served(), rig.versions()), ((2, Some(2)), vec![2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_changes_again_begins_again() {
    let rig = Rig::new(MESSAGES).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    for version in 2..=5 {
        rig.edit(version);
        rig.ends(0, &["reload"]);
    }
    wait::until_eq("the last version", DEADLINE, &Some(5), || rig.served().1);
    settled(&daemon);
    assert_eq!(rig.digest(), rig.undisturbed());
    // Of what was begun and not ended nothing is left: the one before, and the one that is served.
    let generations = rig.generations();
    assert!(generations.len() <= 2, "{generations:?}");
}
