//! `viewd run`: the daemon in the foreground.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use super::definitions;
use super::failure::{Failure, Kind};
use super::output::Output;
use super::progress::{Progress, Step};
use crate::api::{self, serve};
use crate::config::{Config, Loaded};
use crate::metrics::Metrics;
use crate::rebuild::operation::Shown;
use crate::status::{Report, State};
use crate::store::step::{ABORT_AT, Steps};
use crate::supervisor::disk::Disk;
use crate::supervisor::start::{self, Setup};
use crate::supervisor::{self, Ended};
use crate::telemetry;

pub(super) fn run(
    disk: Disk,
    loaded: Loaded,
    exit_when_caught_up: bool,
    output: &Output,
) -> Result<(), Failure> {
    let config = loaded.config.clone();
    let declared = definitions::all(&config, output)?;
    let steps = steps()?;
    let metrics = Arc::new(Metrics::new());
    let terminal = std::io::stderr().is_terminal();
    let quiet = output.quiet || (exit_when_caught_up && terminal);
    let mut progress = exit_when_caught_up.then(|| Progress::new(terminal, output));
    let writer = match &progress {
        Some(progress) => progress.writer(),
        None => Box::new(|| Box::new(std::io::stderr()) as Box<dyn Write>),
    };
    let started = telemetry::start(Arc::clone(&metrics), output.json, output.color, quiet, writer);
    started.map_err(|error| {
        let hint = error.hint();
        Failure::new(Kind::Configuration, error).hint(hint)
    })?;
    let (version, data_dir) = (env!("CARGO_PKG_VERSION"), config.data_dir.display());
    let http = config.http.listen.map_or_else(|| "off".to_owned(), |address| address.to_string());
    tracing::info!(version, %data_dir, http, projections = declared.len(), "viewd starts");

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::new(Kind::Io, anyhow::Error::from(error).context("start")))?;
    let shown = progress.as_mut().map(|progress| {
        |report: &Report| {
            let steps: Vec<_> = report.projections.iter().map(Step::of_projection).collect();
            progress.show(&steps);
        }
    });
    let setup = Setup { disk, loaded, declared, metrics, steps };
    let ended = runtime.block_on(until_ended(&config, setup, shown));
    if let Some(progress) = &mut progress {
        progress.finish();
    }
    tracing::info!("viewd has ended");
    // Whatever still runs after the deadline of the shutdown ends with the process.
    runtime.shutdown_background();
    match ended {
        // Who waits for views that are full must not take a half-built one for it.
        Ok(Ended::Drained) if exit_when_caught_up => Err(Failure::printed(Kind::Interrupted)),
        Ok(Ended::Drained) => Ok(()),
        Ok(Ended::CutShort) => Err(Failure::printed(Kind::Interrupted)),
        Ok(Ended::CaughtUp { report, unbuilt, unsearched }) => {
            caught_up(&report, &unbuilt, &unsearched, output)
        }
        Ok(Ended::Late) => {
            let error = anyhow::anyhow!(
                "the shutdown took longer than limits.shutdown_timeout_ms and was cut short"
            );
            Err(Failure::new(Kind::Internal, error)
                .hint("nothing is lost: the next start resumes at the checkpoint"))
        }
        Err(failure) => Err(failure),
    }
}

/// What is done at the steps of a generation's life: for tests, which end the process at one of them.
fn steps() -> Result<Steps, Failure> {
    match std::env::var(ABORT_AT) {
        Ok(at) if cfg!(debug_assertions) => Steps::aborting(&at).map_err(|error| {
            let error =
                anyhow::anyhow!(error).context(format!("environment variable `{ABORT_AT}`"));
            Failure::new(Kind::Configuration, error)
        }),
        _ => Ok(Steps::default()),
    }
}

async fn until_ended(
    config: &Config,
    setup: Setup,
    progress: Option<impl FnMut(&Report)>,
) -> Result<Ended, Failure> {
    let mut running = start::start(setup).await.map_err(failure)?;
    let listeners = match listeners(config).await {
        Ok(listeners) => listeners,
        Err(error) => {
            running.stop().await;
            return Err(listen_failure(error));
        }
    };
    for listener in listeners {
        let router = api::router(Arc::clone(running.daemon()), listener.is_admin());
        running.edge(|shutdown| serve::run(listener, router, shutdown));
    }
    running.until_ended(progress).await.map_err(failure)
}

/// The admin socket, and the address of the settings.
async fn listeners(config: &Config) -> Result<Vec<serve::Listener>, serve::Error> {
    let mut listeners = vec![serve::socket(&config.data_dir)?];
    if let Some(address) = config.http.listen {
        listeners.push(serve::tcp(address).await?);
    }
    Ok(listeners)
}

fn caught_up(
    report: &Report,
    unbuilt: &[Shown],
    unsearched: &[String],
    output: &Output,
) -> Result<(), Failure> {
    let failed: Vec<_> =
        report.projections.iter().filter(|projection| projection.state == State::Failed).collect();
    for projection in &failed {
        let detail = projection.detail.as_deref().unwrap_or("");
        output.warn(&format!("projection `{}` failed: {detail}", projection.name));
    }
    for name in unsearched {
        let of = report.projections.iter().find(|projection| projection.name == *name);
        let detail = of.and_then(|projection| projection.detail.as_deref()).unwrap_or("");
        output.warn(&format!("projection `{name}`: its full-text indexes do not follow: {detail}"));
    }
    for Shown { projection, detail, next, .. } in unbuilt {
        let detail = detail.as_deref().unwrap_or("its build has come to nothing");
        let next = next.as_ref().map_or(String::new(), |next| format!("; next: {next}"));
        output.warn(&format!("projection `{projection}`: {detail}{next}"));
    }
    if failed.is_empty() && unsearched.is_empty() && unbuilt.is_empty() {
        Ok(())
    } else {
        Err(Failure::printed(Kind::FoundProblems))
    }
}

fn failure(error: supervisor::Error) -> Failure {
    match error {
        supervisor::Error::Store(error) => super::store_failure(error),
        supervisor::Error::Connection(error) => super::connection_failure(error),
        supervisor::Error::Unknown { .. } => Failure::new(Kind::Unreachable, error)
            .hint("`viewd check` says whether NATS and the stream are there"),
        supervisor::Error::Panicked { .. } => Failure::new(Kind::Internal, error)
            .hint("this is a bug of viewd: please report it with the log; the next start resumes at the checkpoint"),
    }
}

fn listen_failure(error: serve::Error) -> Failure {
    match &error {
        serve::Error::Tcp { .. } => {
            let hint = "set http.listen to a free address, or to \"off\"";
            Failure::new(Kind::Unreachable, error).hint(hint)
        }
        serve::Error::Socket { .. } => Failure::new(Kind::Io, error),
    }
}
