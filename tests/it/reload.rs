//! Definitions that change, come and go: at a start and while the daemon runs, without a query that fails.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream;
use rusqlite::Connection;
use rustix::process::Signal;
use viewd::status::{Projection, Reason, State};

use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, publish_numbers};
use crate::random::Random;
use crate::wait;

const SOURCES: &str = "[sources.s]\nstream = \"S\"";

pub const LOG: &str = r#"
source = "s"
[tables.log]
key = ["sequence"]
columns.sequence = "integer"
columns.n        = "integer"
[[on]]
event        = "*"
upsert       = "log"
key.sequence = ".sequence"
set.n        = ".data.n"
"#;

/// A server with the stream `S` of ten numbers, and the folder of a daemon.
pub struct Rig {
    _server: Server,
    client: Client,
    pub site: Arc<Site>,
}

impl Rig {
    pub async fn new(definitions: &[(&str, &str)]) -> Self {
        let server = Server::start();
        let client = server.client().await;
        create_stream(&client, "S", &["s.>"], |_| {}).await;
        let site = Site::new(&server, SOURCES, definitions);
        let rig = Self { _server: server, client, site };
        rig.publish(1..=10).await;
        rig
    }

    /// With the projection `log`, live.
    pub async fn live(set: &[&str]) -> (Self, Daemon) {
        let rig = Self::new(&[("log", LOG)]).await;
        let daemon = rig.site.start(set);
        daemon.reaches("log", 10);
        (rig, daemon)
    }

    pub async fn publish(&self, numbers: std::ops::RangeInclusive<u64>) {
        publish_numbers(&self.client, "s.a", numbers).await;
    }

    pub async fn purge_below(&self, sequence: u64) {
        let stream = jetstream::new(self.client.clone()).get_stream("S").await.unwrap();
        stream.purge().sequence(sequence).await.unwrap();
    }

    pub fn define(&self, name: &str, text: &str) {
        self.site.write(&format!("projections/{name}.toml"), text);
    }

    /// `LOG` with something else in it.
    pub fn redefine(&self, from: &str, to: &str) {
        assert!(LOG.contains(from), "{from}");
        self.define("log", &LOG.replacen(from, to, 1));
    }

    pub fn forget(&self, name: &str) {
        fs::remove_file(self.site.path(&format!("projections/{name}.toml"))).unwrap();
    }

    /// Each n of `log` as its view has it.
    pub fn numbers(&self) -> Vec<i64> {
        let view = self.site.view("log");
        let mut statement = view.prepare("SELECT n FROM log ORDER BY sequence").unwrap();
        statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    pub fn damage(&self) {
        let path = self.site.path("data/log/current/view.db");
        let mut bytes = fs::read(&path).unwrap();
        bytes[..100].fill(7);
        fs::write(&path, bytes).unwrap();
    }
}

/// Lets it reload, and waits until it has.
pub fn reload(daemon: &Daemon) {
    let reloads = || daemon.log().matches("reload").count();
    let before = reloads();
    daemon.signal(Signal::HUP);
    wait::until("a reload", DEADLINE, || (reloads() > before).then_some(()));
}

/// Waits until a projection is what is asked for.
#[track_caller]
pub fn becomes(
    daemon: &Daemon,
    name: &str,
    what: &str,
    mut is: impl FnMut(&Projection) -> bool,
) -> Projection {
    let mut seen = None;
    let found = wait::until_or(DEADLINE, || {
        let projection = daemon.projection(name);
        let found = is(&projection);
        seen = Some(projection);
        found.then_some(())
    });
    let seen = seen.unwrap();
    assert!(found.is_some(), "{what}: {seen:#?}\n{}", daemon.log());
    seen
}

#[track_caller]
pub fn serves(daemon: &Daemon, generation: u64) -> Projection {
    becomes(daemon, "log", &format!("generation {generation} is served"), |projection| {
        projection.generation == generation
            && projection.rebuild.is_none()
            && projection.state == State::Live
    })
}

/// One value of `/metrics`.
#[track_caller]
fn metric(daemon: &Daemon, name: &str) -> f64 {
    let (_, text) = daemon.get("/metrics");
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_definition_is_built_beside_what_is_served() {
    let (rig, daemon) = Rig::live(&[]).await;
    let old = rig.site.view("log");
    rig.redefine("\".data.n\"", "\".data.n * 100\"");
    reload(&daemon);
    serves(&daemon, 2);
    assert_eq!(rig.numbers(), (1..=10).map(|n| n * 100).collect::<Vec<_>>());
    // Who has the old one open reads on, and is told.
    let state = |view: &Connection| {
        view.query_row("SELECT state FROM _viewd_meta", (), |row| row.get::<_, String>(0)).unwrap()
    };
    wait::until_eq("the mark of the old one", DEADLINE, &"retired".to_owned(), || state(&old));
    assert_eq!(state(&rig.site.view("log")), "serving");
    rig.publish(11..=12).await;
    daemon.reaches("log", 12);
    assert_eq!(rig.numbers().last(), Some(&1200));
    assert!(daemon.terminate().success());
    // Nothing is left to do, and nothing is done again.
    rig.site.catch_up(&[]);
    assert!(rig.site.path("data/log/gen-000002").exists());
    assert!(!rig.site.path("data/log/gen-000003").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_changed_meanwhile_is_followed_from_the_start() {
    let rig = Rig::new(&[("log", LOG)]).await;
    rig.site.catch_up(&[]);
    rig.publish(11..=20).await;
    rig.redefine("\".data.n\"", "\".data.n + 1\"");
    // It waits for what is being built.
    rig.site.catch_up(&[]);
    assert_eq!(rig.numbers(), (2..=21).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn new_indexes_and_views_need_no_replay() {
    let (rig, daemon) = Rig::live(&[]).await;
    // A replay would lose these rows, a reshape keeps them.
    rig.purge_below(6).await;
    let shape =
        "indexes = [[\"n\"]]\n[views.large]\nsql = \"SELECT n FROM log WHERE n > 5\"\n[[on]]";
    rig.redefine("[[on]]", shape);
    reload(&daemon);
    serves(&daemon, 2);
    assert_eq!(rig.numbers(), (1..=10).collect::<Vec<_>>());
    let view = rig.site.view("log");
    let large: i64 = view.query_row("SELECT count(*) FROM large", (), |row| row.get(0)).unwrap();
    assert_eq!(large, 5);
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'log' AND sql NOT NULL";
    let indexes: i64 = view.query_row(sql, (), |row| row.get(0)).unwrap();
    assert_eq!(indexes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_words_are_taken_over_at_once() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.redefine("source = \"s\"", "source = \"s\"\npolicy.freshness = \"77s\"");
    reload(&daemon);
    let projection =
        becomes(&daemon, "log", "the words", |projection| projection.lag_target_seconds > 76.0);
    assert_eq!((projection.generation, projection.state), (1, State::Live));
    assert_eq!(metric(&daemon, "viewd_config_last_reload_successful"), 1.0);
    rig.publish(11..=11).await;
    daemon.reaches("log", 11);
    assert!(daemon.terminate().success());
    let text = "SELECT text FROM _viewd_definition";
    let kept: String = rig.site.view("log").query_row(text, (), |row| row.get(0)).unwrap();
    assert!(kept.contains("77s"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_stops_no_good_one() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.redefine("\".data.n\"", "\".data.n + )\"");
    rig.define("other", LOG);
    reload(&daemon);
    daemon.reaches("other", 10);
    assert_eq!(metric(&daemon, "viewd_config_last_reload_successful"), 0.0);
    assert!(daemon.log().contains("log.toml"), "{}", daemon.log());
    let log = daemon.projection("log");
    let detail = log.detail.unwrap();
    assert!(
        detail.contains("the definition on disk is not served") && detail.contains("log.toml:11"),
        "{detail}"
    );
    assert_eq!((log.reason, log.next.as_deref()), (None, Some("viewd check")));
    rig.publish(11..=11).await;
    daemon.reaches("log", 11);
    assert_eq!(rig.numbers(), (1..=11).collect::<Vec<_>>(), "it goes on as it was");
    // Settings that are wrong change nothing at all.
    let settings = fs::read_to_string(rig.site.path("viewd.toml")).unwrap();
    rig.site.write("viewd.toml", &format!("{settings}\n[sources.other]\n"));
    rig.forget("other");
    reload(&daemon);
    assert_eq!(daemon.report().projections.len(), 2);
    rig.site.write("viewd.toml", &settings);
    rig.define("log", LOG);
    reload(&daemon);
    assert_eq!(metric(&daemon, "viewd_config_last_reload_successful"), 1.0);
    assert_eq!(daemon.report().projections.len(), 1);
    assert_eq!(daemon.projection("log").detail, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn projections_come_and_go() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.define("other", LOG);
    reload(&daemon);
    daemon.reaches("other", 10);
    assert!(daemon.get("/metrics").1.contains("projection=\"other\""));
    rig.forget("log");
    reload(&daemon);
    let names: Vec<_> =
        daemon.report().projections.into_iter().map(|projection| projection.name).collect();
    assert_eq!(names, ["other"]);
    assert!(!daemon.get("/metrics").1.contains("projection=\"log\""));
    rig.publish(11..=12).await;
    daemon.reaches("other", 12);
    // What it knows stays as it was, and is gone on with.
    assert_eq!(rig.numbers().len(), 10);
    rig.define("log", LOG);
    reload(&daemon);
    daemon.reaches("log", 12);
    assert_eq!(rig.numbers().len(), 12);
    assert!(daemon.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_forgotten_by_itself() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.purge_below(6).await;
    rig.redefine("\".data.n\"", "\".data.n * 2\"");
    reload(&daemon);
    let told = |projection: &Projection| {
        projection.detail.as_ref().is_some_and(|detail| {
            detail.contains(
                "would forget: the stream now begins at 6, the serving generation began at 1",
            )
        })
    };
    let projection = becomes(&daemon, "log", "what would be lost is told", told);
    assert_eq!((projection.generation, projection.state), (1, State::Live));
    assert!(projection.next.is_some_and(|next| next.contains("viewd rebuild log --forget")));
    rig.publish(11..=12).await;
    daemon.reaches("log", 12);
    assert_eq!(
        rig.numbers(),
        (1..=12).collect::<Vec<_>>(),
        "by the definition that it was built by"
    );
    // Asked again it is the same; another definition is another question, and the old one none.
    reload(&daemon);
    becomes(&daemon, "log", "it is told again", told);
    rig.define("log", LOG);
    reload(&daemon);
    becomes(&daemon, "log", "nothing is wrong", |projection| projection.detail.is_none());
    assert!(daemon.terminate().success());
    assert!(!rig.site.path("data/log/gen-000002").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_built_by_itself_where_it_may_not() {
    let (rig, daemon) = Rig::live(&["rebuild.auto=false"]).await;
    rig.redefine("\".data.n\"", "\".data.n * 2\"");
    reload(&daemon);
    let projection = becomes(&daemon, "log", "it is told", |projection| projection.next.is_some());
    assert!(projection.detail.unwrap().contains("`rebuild.auto` is off"));
    assert_eq!(projection.next.unwrap(), "viewd rebuild log");
    assert!(daemon.terminate().success());
    // At a start likewise, and it goes on by the definition that it was built by.
    let daemon = rig.site.start(&["rebuild.auto=false"]);
    rig.publish(11..=11).await;
    daemon.reaches("log", 11);
    assert_eq!(rig.numbers().last(), Some(&11));
    becomes(&daemon, "log", "it is told", |projection| projection.next.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_another_engine_stands_still_until_it_is_rebuilt() {
    let rig = Rig::new(&[("log", LOG)]).await;
    rig.site.catch_up(&[]);
    let view = Connection::open(rig.site.path("data/log/current/view.db")).unwrap();
    let old = "UPDATE _viewd_definition SET engine = 'viewd 0', events = 'old'";
    view.execute(old, ()).unwrap();
    drop(view);
    rig.publish(11..=12).await;
    let daemon = rig.site.start(&["rebuild.auto=false"]);
    let projection = becomes(&daemon, "log", "frozen", |projection| {
        (projection.state, projection.reason) == (State::Degraded, Some(Reason::Frozen))
    });
    assert_eq!(projection.checkpoint_sequence, 10);
    assert!(daemon.terminate().success());
    let daemon = rig.site.start(&[]);
    let projection = serves(&daemon, 2);
    assert_eq!((projection.checkpoint_sequence, projection.reason), (12, None));
    assert_eq!(rig.numbers().len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_view_is_moved_aside_and_stops_no_other() {
    let rig = Rig::new(&[("log", LOG), ("other", LOG)]).await;
    rig.site.catch_up(&[]);
    rig.damage();
    rig.publish(11..=11).await;
    // A restart gives the same answer: what a view knew is not replaced by itself.
    for _ in 0..2 {
        let daemon = rig.site.start(&[]);
        daemon.reaches("other", 11);
        let projection = daemon.projection("log");
        assert_eq!((projection.state, projection.reason), (State::Failed, Some(Reason::Corrupt)));
        assert_eq!(projection.next.as_deref(), Some("viewd rebuild log"));
        let aside = rig.site.path("data/log/damaged-gen-000001/view.db");
        assert!(projection.detail.unwrap().contains("damaged-gen-000001") && aside.exists());
        assert!(rig.site.view_if_there("log").is_none());
        assert!(daemon.terminate().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_it_changes_the_last_definition_is_served() {
    const CHANGES: u64 = 40;
    let (rig, daemon) = Rig::live(&[]).await;
    let mut random = Random::from_environment("RELOAD_SEED");
    let mut factor = 1;
    for change in 0..CHANGES {
        factor = 1 + random.below(4);
        let to = match factor {
            1 => "\".data.n\"".to_owned(),
            factor => format!("\".data.n * {factor}\""),
        };
        rig.redefine("\".data.n\"", &to);
        if random.below(5) == 0 {
            rig.site.write("projections/log.toml", "source = ");
            daemon.signal(Signal::HUP);
            rig.redefine("\".data.n\"", &to);
        }
        daemon.signal(Signal::HUP);
        if random.below(2) == 0 {
            wait::pass(Duration::from_millis(random.below(200)));
        }
        rig.publish(11 + change..=11 + change).await;
    }
    reload(&daemon);
    let expected: Vec<_> = (1..=10 + CHANGES).map(|n| i64::try_from(n * factor).unwrap()).collect();
    wait::until_eq("the last definition's rows", DEADLINE, &expected, || rig.numbers());
    let projection = becomes(&daemon, "log", "nothing is built any more", |projection| {
        projection.rebuild.is_none() && projection.detail.is_none()
    });
    assert_eq!(projection.state, State::Live);
    // The one that is served, and one to roll back to.
    wait::until("what nobody needs is removed", DEADLINE, || {
        let folders = fs::read_dir(rig.site.path("data/log")).unwrap();
        let names = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
        (names.filter(|name| name.contains("gen-")).count() <= 2).then_some(())
    });
    assert!(daemon.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_definitions_change_the_last_one_is_served() {
    const KILLS: u64 = 15;
    let (rig, mut daemon) = Rig::live(&[]).await;
    let mut random = Random::from_environment("RELOAD_SEED");
    let mut factor = 1;
    for kill in 0..KILLS {
        factor = 2 + (factor + random.below(2)) % 3;
        rig.redefine("\".data.n\"", &format!("\".data.n * {factor}\""));
        daemon.signal(Signal::HUP);
        wait::pass(Duration::from_millis(random.below(250)));
        daemon.kill();
        rig.publish(11 + kill..=11 + kill).await;
        daemon = rig.site.start(&[]);
        // What is served is whole, by whichever definition.
        let numbers = rig.numbers();
        let first = numbers.first().copied().unwrap_or_default();
        let whole: Vec<_> = (1..=numbers.len() as i64).map(|n| n * first).collect();
        assert_eq!(numbers, whole, "after kill {kill}");
        // Not before it listens: until then a signal ends it.
        daemon.projection("log");
    }
    let expected: Vec<_> = (1..=10 + KILLS).map(|n| i64::try_from(n * factor).unwrap()).collect();
    becomes(&daemon, "log", "the last definition's rows", |projection| {
        let detail = projection.detail.as_deref().unwrap_or_default();
        if detail.contains("the process ended 3 times while it was being built") {
            // So many kills look like an event that ends the process: a person says that it is none.
            rig.site.run(&["rebuild", "log"], &[]);
        }
        rig.numbers() == expected
    });
    assert!(daemon.terminate().success());
    rig.site.catch_up(&[]);
    assert_eq!(rig.numbers(), expected);
}
