//! The command line: one dispatch over commands, one printer of errors, the exit code from the failure's kind.

mod args;
mod check;
mod definitions;
mod digest;
mod events;
mod failure;
mod gc;
mod messages;
mod operation;
mod output;
mod plan;
mod progress;
mod query;
mod rebuild;
mod rehearse;
mod reload;
mod run;
mod schema;
mod search;
mod skeleton;
mod socket;
mod status;
mod tell;
mod test;
mod verify;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser};

use self::args::{Arguments, Command, ConfigCommand};
use self::failure::{Failure, Kind};
use self::output::{Align, Output, Table};
use crate::config::{Config, Loaded};
use crate::diagnostic::did_you_mean;
use crate::source::connection;
use crate::store;
use crate::store::layout::{self, Folder};
use crate::supervisor::disk::{Declared, Disk};
use crate::trial::Setup;

/// Parses and runs one command line.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let given: Vec<OsString> = arguments.collect();
    let arguments = match Arguments::try_parse_from(&given) {
        Ok(arguments) => arguments,
        Err(error) => return misunderstood(&error, &given),
    };
    let global = &arguments.global;
    let output = Output::new(global.json, global.quiet, global.no_color, global.config.as_deref());
    match dispatch(&arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(&output),
    }
}

/// A command line that cannot be read. Help and version come this way too, with exit code 0.
fn misunderstood(error: &clap::Error, given: &[OsString]) -> ExitCode {
    let _ = error.print();
    let failed = error.use_stderr();
    if failed && given.iter().any(|argument| argument == "--json") {
        // Nothing has been parsed: of the options only this one is known.
        let rendered = error.render().to_string();
        let mut lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
        let message = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let hint = lines.find_map(|line| line.strip_prefix("tip: ")).map(str::to_owned);
        let failure = Failure::new(Kind::Usage, anyhow::anyhow!(message)).hints(hint);
        Output::new(true, false, true, None).line(&failure.json());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Kind::Usage as u8))
}

fn dispatch(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let global = &arguments.global;
    let disk = Disk::new(global.config.as_deref(), &global.set);
    let settings = || definitions::settings(&disk, output);
    match &arguments.command {
        Command::Run { exit_when_caught_up } => {
            run::run(disk.clone(), settings()?, *exit_when_caught_up, output)
        }
        Command::Check { offline } => check::run(&settings()?.config, *offline, output),
        Command::Status { projection, watch } => {
            status::run(&settings()?.config, projection.as_deref(), *watch, output)
        }
        Command::Wait { projection, sequence, timeout } => {
            wait::run(&settings()?.config, projection, *sequence, *timeout, output)
        }
        Command::Accept { projection } => {
            tell::run(&settings()?.config, projection, "accept", output)
        }
        Command::Rebuild(arguments) => rebuild::run(&settings()?.config, arguments, output),
        Command::Promote { projection } => {
            rebuild::promote(&settings()?.config, projection, output)
        }
        Command::Rollback(arguments) => rebuild::rollback(&settings()?.config, arguments, output),
        Command::Cancel { projection } => {
            tell::run(&settings()?.config, projection, "cancel", output)
        }
        Command::Pause { projection } => {
            tell::run(&settings()?.config, projection, "pause", output)
        }
        Command::Resume { projection } => {
            tell::run(&settings()?.config, projection, "resume", output)
        }
        Command::Reload => reload::run(&settings()?.config, output),
        Command::Gc { projection } => gc::run(&settings()?.config, projection.as_deref(), output),
        Command::Query { projection, sql, limit } => {
            query::run(&settings()?.config, projection, sql, *limit, output)
        }
        Command::Search(arguments) => search::run(&settings()?.config, arguments, output),
        Command::Digest(arguments) => digest::run(&settings()?.config, arguments, output),
        Command::Verify { projection, deep } => {
            verify::run(&settings()?.config, projection, *deep, output)
        }
        Command::Test(arguments) => test::run(&settings()?.config, arguments, output),
        Command::Events(arguments) => events::run(&settings()?.config, arguments, output),
        Command::Try(arguments) => rehearse::run(&settings()?.config, arguments, output),
        Command::Plan { projections, offline } => {
            plan::run(&settings()?.config, projections, *offline, output)
        }
        Command::Schema { which } => {
            schema::run(*which, output);
            Ok(())
        }
        Command::Config { command: ConfigCommand::Show { origin } } => {
            show(&settings()?, *origin, output);
            Ok(())
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "viewd", &mut script);
            output.data(&String::from_utf8_lossy(&script));
            Ok(())
        }
        Command::Version => {
            version(output);
            Ok(())
        }
    }
}

fn show(loaded: &Loaded, origin: bool, output: &Output) {
    if output.json {
        let data = serde_json::json!({ "data": loaded.settings });
        return output.line(&data.to_string());
    }
    if !origin {
        return loaded
            .settings
            .iter()
            .for_each(|setting| output.line(&format!("{} = {}", setting.key, setting.value)));
    }
    let mut table =
        Table::new(&[("SETTING", Align::Left), ("VALUE", Align::Left), ("ORIGIN", Align::Left)]);
    for setting in &loaded.settings {
        table.row(vec![setting.key.clone(), setting.value.clone(), setting.origin.clone()]);
    }
    output.table(&table);
}

fn version(output: &Output) {
    let version = env!("CARGO_PKG_VERSION");
    if output.json {
        output.line(&serde_json::json!({ "version": version }).to_string());
    } else {
        output.line(&format!("viewd {version}"));
    }
}

/// What a projection is tried with.
fn setup(config: &Config, declared: &Declared) -> Setup {
    let definition = declared.plan.definition();
    let source = &config.sources[&definition.stream_source];
    let limits = &config.limits;
    let plan = Arc::clone(&declared.plan);
    Setup::new(plan, source, limits.event_bytes_max, limits.parked_events_max)
}

/// The folder of a projection that has a view.
fn view_folder(config: &Config, projection: &str) -> Result<Folder, Failure> {
    let known = layout::projections(&config.data_dir).map_err(store_failure)?;
    if known.iter().any(|name| name == projection) {
        return Ok(Folder::new(&config.data_dir, projection));
    }
    if known.is_empty() {
        let error =
            anyhow::anyhow!("no projection has a view in {} yet", config.data_dir.display());
        return Err(Failure::new(Kind::Usage, error).hint("`viewd run` builds them"));
    }
    Err(unknown_projection(projection, &known))
}

/// A name that no projection has.
fn unknown_projection(name: &str, known: &[String]) -> Failure {
    let failure = Failure::new(Kind::Usage, anyhow::anyhow!("there is no projection `{name}`"));
    failure.hints(did_you_mean(name, known.iter().map(String::as_str)))
}

/// What settings mean by which NATS cannot even be tried.
fn connection_failure(error: connection::Error) -> Failure {
    let (kind, hint) = if error.is_permission() {
        (Kind::Permission, "the user that runs viewd must be able to read it")
    } else {
        (Kind::Configuration, "see [nats] in the settings")
    };
    Failure::new(kind, error).hint(hint)
}

/// What a store's error means for a command.
fn store_failure(error: store::Error) -> Failure {
    let kind = match &error {
        store::Error::Locked { .. }
        | store::Error::Busy { .. }
        | store::Error::Held { .. }
        | store::Error::Stale { .. } => Kind::Busy,
        store::Error::Access { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Kind::Permission
        }
        store::Error::Internal { .. } => Kind::Internal,
        _ => Kind::Io,
    };
    let hint = match &error {
        // Nothing goes on by itself in a process that ends.
        store::Error::Full { .. } => Some("free some space, and start again".to_owned()),
        store::Error::Busy { .. } => {
            Some("end the other program's transaction, and start again".to_owned())
        }
        error => error.hint(),
    };
    Failure::new(kind, error).hints(hint)
}
