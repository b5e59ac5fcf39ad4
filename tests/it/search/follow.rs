//! Indexes follow the rows: live, over restarts, definitions and builds.

use viewd::status::State;

use super::rig::{DEFINITION, NAME, QUICK, Rig, follows, of};
use crate::daemon::DEADLINE;
use crate::wait;

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

/// A build is searched from its cut-over on, and every answer before is of the generation before.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_brings_its_own_index() {
    let rig = Rig::new(DEFINITION).await;
    let daemon = rig.site.start(QUICK);
    let last = rig.publish(500, 100).await;
    follows(&daemon, "items", last);
    rig.ends(0, &["rebuild", NAME]);
    // It is there with the cut-over, and nobody has to wait.
    let report = daemon.projection(NAME);
    assert_eq!((report.generation, of(&report, "items").state.as_str()), (2, "following"));
    assert!(of(&report, "items").sequence >= Some(last), "{report:?}");
    rig.verified();
    let last = rig.publish(100, 120).await;
    follows(&daemon, "items", last);
    rig.verified();
    // What was served before goes on from where its index was.
    rig.ends(0, &["rollback", NAME]);
    let report = daemon.projection(NAME);
    assert_eq!(report.generation, 1);
    assert!(of(&report, "items").sequence >= Some(last), "{report:?}");
    rig.verified();
    rig.ends(0, &["rollback", NAME, "--now"]);
    let last = rig.publish(100, 120).await;
    follows(&daemon, "items", last);
    assert_eq!(daemon.projection(NAME).generation, 2);
    rig.verified();
    assert!(daemon.terminate().success(), "{}", rig.site.log());
    assert!(!rig.site.log().contains("made again"), "{}", rig.site.log());
}

/// Whoever searches while a generation follows another finds every row that there always was, and never goes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_goes_on_through_builds() {
    let rig = Rig::new(DEFINITION).await;
    let daemon = rig.site.start(QUICK);
    // Those that stay: nobody publishes about them again.
    let steady = rig.steady(30).await;
    follows(&daemon, "items", steady);
    let more = format!("{DEFINITION}\n[search.titles]\ntable = \"items\"\nfields.title = {{}}\n");
    let done = std::sync::atomic::AtomicBool::new(false);
    let searches = std::thread::scope(|threads| {
        let searching = threads.spawn(|| {
            let (mut sequence, mut generation, mut searches) = (0, 0, 0);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let (code, body) = daemon
                    .get("/v1/projections/items/search/items?_q=steadfast&_limit=100&_total=true");
                assert_eq!(code, 200, "{body}");
                let found: serde_json::Value = serde_json::from_str(&body).unwrap();
                assert_eq!(found["data"].as_array().unwrap().len(), 30, "{body}");
                assert_eq!(found["total"], 30, "{body}");
                let now =
                    (found["generation"].as_u64().unwrap(), found["sequence"].as_u64().unwrap());
                assert!(
                    now >= (generation, 0) && now.1 >= sequence,
                    "{now:?} after {generation}, {sequence}"
                );
                (generation, sequence) = now;
                searches += 1;
            }
            searches
        });
        let rebuilt = |generation| {
            wait::until("the build", DEADLINE, || {
                let report = daemon.projection(NAME);
                (report.generation == generation && report.rebuild.is_none()).then_some(())
            });
        };
        let runtime = tokio::runtime::Handle::current();
        let publish =
            |messages| tokio::task::block_in_place(|| runtime.block_on(rig.publish(messages, 500)));
        for (generation, definition) in [(2, more.as_str()), (3, DEFINITION), (4, more.as_str())] {
            publish(400);
            rig.edit(definition);
            rig.ends(0, &["reload"]);
            publish(400);
            rebuilt(generation);
        }
        publish(200);
        rig.ends(0, &["rebuild", NAME]);
        rebuilt(5);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        searching.join().unwrap()
    });
    assert!(searches > 10, "{searches}");
    rig.verified();
}

/// Several indexes on either side that commit all the time come to one sequence nonetheless.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_with_several_indexes_is_served_under_load() {
    let definition = two_tables(false);
    let rig = Rig::new(&definition).await;
    let daemon = rig.site.start(QUICK);
    let last = rig.publish(3_000, 2_000).await;
    follows(&daemon, "items", last);
    let site = std::sync::Arc::clone(&rig.site);
    let rebuild = std::thread::spawn(move || site.run(&["rebuild", NAME], &[]));
    while !rebuild.is_finished() {
        rig.publish(100, 2_000).await;
    }
    let output = rebuild.join().unwrap();
    assert!(output.status.success(), "{output:?}\n{}", rig.site.log());
    let last = rig.publish(1, 2_000).await;
    for index in ["items", "titles", "notes"] {
        follows(&daemon, index, last);
    }
    assert_eq!(daemon.projection(NAME).generation, 2);
    rig.verified();
}

/// Another index, a field more and none at all are reshaped; weights are taken over as they are.
#[tokio::test(flavor = "multi_thread")]
async fn indexes_change_with_their_definition() {
    let rig = Rig::new(DEFINITION).await;
    let daemon = rig.site.start(QUICK);
    let last = rig.publish(300, 50).await;
    follows(&daemon, "items", last);
    let more = format!("{DEFINITION}\n[search.titles]\ntable = \"items\"\nfields.title = {{}}\n");
    let field = more.replace("fields.note  = { language = \"en\" }", "fields.note  = {}");
    for (generation, definition, indexes) in [
        (2, more.as_str(), &["items", "titles"][..]),
        (3, field.as_str(), &["items", "titles"]),
        (3, &field.replace("weight = 2.0", "weight = 3.0"), &["items", "titles"]),
        (4, DEFINITION, &["items"]),
        (5, DEFINITION.split("[search.items]").next().unwrap(), &[]),
    ] {
        rig.edit(definition);
        rig.ends(0, &["reload"]);
        wait::until("the definition", DEADLINE, || {
            let report = daemon.projection(NAME);
            assert_ne!(report.state, State::Failed, "{report:?}\n{}", daemon.log());
            (report.generation == generation && report.rebuild.is_none()).then_some(())
        });
        let last = rig.publish(20, 60).await;
        daemon.reaches(NAME, last);
        for index in indexes {
            follows(&daemon, index, last);
        }
        assert_eq!(daemon.projection(NAME).search.len(), indexes.len());
        let (_, metrics) = daemon.get("/metrics");
        for family in
            ["checkpoint_sequence", "documents", "segments", "commit_duration_seconds_count"]
        {
            let family = format!("viewd_search_{family}{{");
            let series = metrics.lines().filter(|line| line.starts_with(&family));
            assert_eq!(series.count(), indexes.len(), "{family}: {metrics}");
        }
        rig.verified();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_of_several_tables_follow_whichever_moves() {
    let rig = Rig::new(&two_tables(true)).await;
    let daemon = rig.site.start(&[QUICK, &["limits.changes_keep=0"]].concat());
    let last = rig.publish(3_000, 400).await;
    // The table of `notes` gets no rows at all, and its index stands where the view does.
    for index in ["items", "titles", "notes"] {
        follows(&daemon, index, last);
    }
    rig.verified();
    // Nothing is kept for it either.
    wait::until("a short log", DEADLINE, || (rig.rows("_viewd_changes") < 11_000).then_some(()));
    assert!(daemon.terminate().success(), "{}", rig.site.log());
    rig.verified();
}

fn two_tables(changes: bool) -> String {
    let notes = format!(
        "[tables.notes]\nkey = [\"id\"]\nchanges = {changes}\ncolumns.id = \"integer\"\ncolumns.note = \"text\"\n\n[[on]]"
    );
    let text = DEFINITION.replacen("[[on]]", &notes, 1);
    format!(
        "{text}\n[search.titles]\ntable = \"items\"\nfields.title = {{}}\n[search.notes]\ntable = \"notes\"\nfields.note = {{}}\n\
         [[on]]\nevent = \"Never\"\nupsert = \"notes\"\nkey.id = \".data.id\"\nset.note = \".data.note\"\n"
    )
}

/// A log that is kept for others than indexes is no longer than it has to be.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_kept_without_an_index() {
    let definition = DEFINITION.split("[search.items]").next().unwrap();
    let definition = definition.replacen("key = [\"id\"]", "key = [\"id\"]\nchanges = true", 1);
    let rig = Rig::new(&definition).await;
    let daemon = rig.site.start(&["limits.changes_keep=100", "limits.batch_events_max=50"]);
    let last = rig.publish(4_000, 400).await;
    daemon.reaches(NAME, last);
    wait::until("a short log", DEADLINE, || {
        let left = rig.rows("_viewd_changes");
        ((100..1_200).contains(&left)).then_some(())
    });
    assert_eq!(daemon.projection(NAME).search, []);
    assert!(daemon.terminate().success(), "{}", rig.site.log());
}

/// What is told to stand still is searched as it stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_projection_is_searched() {
    let rig = Rig::new(DEFINITION).await;
    let daemon = rig.site.start(QUICK);
    let before = rig.publish(100, 50).await;
    follows(&daemon, "items", before);
    rig.ends(0, &["pause", NAME]);
    let last = rig.publish(100, 50).await;
    assert!(daemon.terminate().success());
    let daemon = rig.site.start(QUICK);
    let index = follows(&daemon, "items", before);
    assert_eq!(index.sequence, Some(before));
    rig.ends(0, &["resume", NAME]);
    follows(&daemon, "items", last);
    rig.verified();
}
