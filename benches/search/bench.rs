//! One server, its streams, what is filled once, and the runs against it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, OpenFlags};

use crate::corpora::Corpus;
use crate::live::{Live, Pace};
use crate::measure::daemon::{Settings, Site};
use crate::measure::server::Server;
use crate::measure::{self, Latencies, Measured, publish, say};
use crate::rows::{Row, Way};
use crate::task::{self, Done};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Of each corpus, at most.
    pub events: u64,
    /// Published as fast as can be.
    pub updates: u64,
    /// Updates a second, while something else is looked at.
    pub rate: u64,
    pub seconds: u64,
    /// Of a daemon that makes one index, and of the loop that it is compared with.
    pub memory_mib: u64,
}

/// What one run took.
#[derive(Default)]
pub struct Run {
    pub seconds: f64,
    /// Documents, events or updates, as the row has them.
    pub work: u64,
    /// Of text that is searched, in all of the corpus.
    pub bytes: u64,
    pub cpu: f64,
    pub peak_rss: u64,
    pub index_bytes: Option<u64>,
    pub segments: Option<u64>,
    /// By what was asked.
    pub latencies: Vec<(String, Latencies)>,
}

/// What the runs share.
pub struct Bench {
    size: Size,
    server: Server,
    folder: tempfile::TempDir,
    corpora: HashMap<Corpus, PathBuf>,
    /// Streams by name, with their last sequence as it was filled.
    streams: HashMap<String, u64>,
    /// Views that are filled once: of the rows that are indexed, and those that live runs go on with.
    sites: HashMap<String, Site>,
    /// Updates so far: each says its number.
    updates: u64,
}

impl Bench {
    pub fn start(size: Size) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = Server::start(&folder.path().join("nats"))?;
        let (corpora, streams, sites) = Default::default();
        Ok(Self { size, server, folder, corpora, streams, sites, updates: 0 })
    }

    /// Runs a row once; an error if the index that it leaves is not of its rows.
    pub fn measure(&mut self, row: &Row) -> Result<Run> {
        let corpus = row.corpus;
        match row.way {
            Way::Bare { sqlite: false } => self.role(corpus, "bare"),
            Way::Bare { sqlite: true } => self.role(corpus, "bare-sqlite"),
            Way::BareDefault => self.role(corpus, "bare-default"),
            Way::Build => self.role(corpus, "build"),
            Way::CatchUp { search } => self.catch_up(corpus, search),
            Way::Updates { search } => {
                let pace = Pace::Burst { count: self.size.updates };
                self.live(corpus, search, &pace, &[])
            }
            Way::Searchable { commit_ms } => {
                let set = commit_ms.map(|commit| format!("limits.search_commit_ms={commit}"));
                let set: Vec<_> = set.iter().map(String::as_str).collect();
                let Size { rate, seconds, .. } = self.size;
                self.live(corpus, true, &Pace::Searchable { rate, seconds }, &set)
            }
            Way::Queries { writing } => {
                let Size { rate, seconds, .. } = self.size;
                let rate = if writing { rate } else { 0 };
                self.live(corpus, true, &Pace::Queries { rate, seconds }, &[])
            }
        }
    }

    /// An index of all rows, by a part that this program plays.
    fn role(&mut self, corpus: Corpus, role: &str) -> Result<Run> {
        let site = self.filled(corpus, "rows", false)?;
        let (data, view) = (site.data(), site.view(corpus.name()));
        let (rows, bytes) = contents(corpus, &view)?;
        let folder = self.fresh("index")?;
        let mut command = Command::new(std::env::current_exe()?);
        let memory_bytes = (self.size.memory_mib << 20).to_string();
        command.args(["--role", role, "--corpus", corpus.name(), "--memory-bytes", &memory_bytes]);
        command.arg("--data").arg(data);
        command.arg("--view").arg(view).arg("--folder").arg(&folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let Measured { success, cpu, peak_rss, output, .. } = self.server.measure(&mut command)?;
        ensure!(success, "{command:?} failed");
        let done: Done = serde_json::from_str(&output)?;
        ensure!(done.documents == rows, "{} documents of {rows} rows", done.documents);
        let (seconds, index_bytes) = (done.seconds, Some(size_of(&folder)?));
        Ok(Run { seconds, work: rows, bytes, cpu, peak_rss, index_bytes, ..Run::default() })
    }

    fn catch_up(&mut self, corpus: Corpus, search: bool) -> Result<Run> {
        let events = self.publish(corpus, corpus.name())?;
        let folder = self.fresh("catch-up")?;
        let site = self.site(&folder, corpus, corpus.name(), search)?;
        let mut command = site.fill();
        let Measured { success, wall, cpu, peak_rss, .. } = self.server.measure(&mut command)?;
        ensure!(success, "{command:?} failed");
        let (rows, bytes) = contents(corpus, &site.view(corpus.name()))?;
        let mut run = Run { seconds: wall, work: events, bytes, cpu, peak_rss, ..Run::default() };
        if search {
            let index = index(&site, corpus);
            let (_, documents) = viewd::search::at_rest(&index).context("no index")?;
            ensure!(documents == rows, "{documents} documents of {rows} rows");
            run.index_bytes = Some(size_of(&index)?);
        }
        Ok(run)
    }

    fn live(&mut self, corpus: Corpus, search: bool, pace: &Pace, set: &[&str]) -> Result<Run> {
        let kind = if search { "live" } else { "live-plain" };
        let (url, mut updates) = (self.server.url.clone(), self.updates);
        let site = self.filled(corpus, kind, search)?;
        let (_, bytes) = contents(corpus, &site.view(corpus.name()))?;
        let daemon = site.start(set)?;
        let stream = format!("{kind}-{}", corpus.name());
        let mut live = Live::new(&url, stream, corpus, search, &daemon, &mut updates)?;
        let mut run = live.run(pace)?;
        run.peak_rss = measure::peak(daemon.pid()).context("its memory")?;
        run.bytes = bytes;
        if search {
            let mut verify = site.command(&["verify", corpus.name()]);
            let output = verify.output().context("start viewd")?;
            ensure!(output.status.success(), "{verify:?}: {output:?}");
            run.index_bytes = Some(size_of(&index(site, corpus))?);
        }
        daemon.stop()?;
        self.updates = updates;
        Ok(run)
    }

    /// A view with all events of its stream, made once for all that want one.
    fn filled(&mut self, corpus: Corpus, kind: &str, search: bool) -> Result<&Site> {
        let name = format!("{kind}-{}", corpus.name());
        if !self.sites.contains_key(&name) {
            // What lives on goes on with a stream of its own: the others see the same events in each round.
            let stream = if kind == "rows" { corpus.name().to_owned() } else { name.clone() };
            self.publish(corpus, &stream)?;
            say(&format!("filling {name}"));
            let site = self.site(&self.fresh(&name)?, corpus, &stream, search)?;
            let mut fill = site.fill();
            ensure!(fill.status().context("start viewd")?.success(), "{fill:?} failed");
            self.sites.insert(name.clone(), site);
        }
        Ok(&self.sites[&name])
    }

    fn site(&self, folder: &Path, corpus: Corpus, stream: &str, search: bool) -> Result<Site> {
        let plain = corpus.definition_without_search();
        let definition = if search { corpus.definition() } else { &plain };
        let settings = Settings {
            server: &self.server.url,
            source: "corpus",
            stream,
            definitions: &[(corpus.name(), definition)],
            limits: "",
        };
        Site::new(folder, &settings)
    }

    /// Fills a stream with a corpus, once; says how many events it has.
    fn publish(&mut self, corpus: Corpus, stream: &str) -> Result<u64> {
        if let Some(events) = self.streams.get(stream) {
            return Ok(*events);
        }
        let path = match self.corpora.get(&corpus) {
            Some(path) => path.clone(),
            None => PathBuf::from(measure::tool(corpus.tool())?),
        };
        say(&format!("publishing {stream}"));
        let limit = usize::try_from(self.size.events).unwrap_or(usize::MAX);
        let events = corpus.events(&path)?.take(limit);
        let renamed = events.map(|(subject, payload)| {
            (format!("{stream}{}", &subject[corpus.name().len()..]), payload)
        });
        let published = measure::runtime()?.block_on(async {
            let client = async_nats::connect(&self.server.url).await?;
            publish::create(&client, stream).await?;
            publish::fill(&client, renamed).await
        })?;
        self.corpora.insert(corpus, path);
        self.streams.insert(stream.to_owned(), published);
        Ok(published)
    }

    /// An empty folder.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// Rows, and bytes of text in the fields that are searched.
fn contents(corpus: Corpus, view: &Path) -> Result<(u64, u64)> {
    let (definition, table) = task::table(corpus)?;
    let texts = definition.searches[0]
        .fields
        .iter()
        .map(|field| format!("coalesce(octet_length({}), 0)", table.columns[field.column].name));
    let texts: Vec<_> = texts.collect();
    let sql = format!("SELECT count(*), sum({}) FROM {}", texts.join(" + "), corpus.table());
    let view = Connection::open_with_flags(view, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let (rows, bytes): (i64, i64) =
        view.query_row(&sql, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((rows.unsigned_abs(), bytes.unsigned_abs()))
}

fn index(site: &Site, corpus: Corpus) -> PathBuf {
    let view = site.view(corpus.name());
    view.with_file_name("search").join(corpus.table())
}

/// Of all files in a folder and below.
fn size_of(folder: &Path) -> Result<u64> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let sizes = entries.map(|entry| {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            // A merge may remove one meanwhile.
            metadata => Ok(metadata.map_or(0, |metadata| metadata.len())),
        }
    });
    sizes.sum()
}
