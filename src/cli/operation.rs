//! Follows operations of the daemon until they are over: bars on a terminal, lines elsewhere.
//!
//! An operation is the daemon's: whoever follows it may leave (Ctrl-C, or a connection that breaks) and come again.
//! What ends otherwise than asked for is said as soon as it is known, with the next step, above what still goes on.

use std::io::IsTerminal;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::failure::{Failure, Kind};
use super::output::Output;
use super::progress::{Progress, Step};
use super::socket::{self, Answer, Data, Problem};
use super::{messages, status};
use crate::config::Config;
use crate::rebuild::operation::{Kind as Work, Progress as State, Shown};

/// The daemon answers sooner if one ends; so often are bars drawn.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What an answer may take beyond that: the daemon answers from memory, but where it reads definitions and files first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);

/// What became of asking for operations.
#[derive(Deserialize, Serialize)]
pub(super) struct Begun {
    #[serde(rename = "data", default)]
    pub(super) operations: Vec<Shown>,
    /// Of the projections for which nothing was begun, why not.
    #[serde(default)]
    refused: Vec<Problem>,
}

/// Asks for operations; what is asked for and under way already is found instead, if it is one of `joins`.
pub(super) fn begin(
    config: &Config,
    path: &str,
    joins: &[Work],
    output: &Output,
) -> Result<Begun, Failure> {
    let answer = ask(config, path)?;
    begun(config, answer, joins, output)
}

pub(super) fn ask(config: &Config, path: &str) -> Result<Answer, Failure> {
    socket::ask(config, "POST", path, ANSWER_TIMEOUT)
}

/// The same of what has been answered.
pub(super) fn begun(
    config: &Config,
    answer: Answer,
    joins: &[Work],
    output: &Output,
) -> Result<Begun, Failure> {
    let mut begun = match answer.code {
        409 => socket::read::<Begun>(&answer.body)?,
        _ => return socket::read(&answer.body()?),
    };
    if begun.refused.is_empty() {
        begun.refused.push(answer.problem()?);
    }
    begun.join(config, joins, output)?;
    if begun.operations.is_empty() && begun.refused.len() == 1 {
        return Err(begun.refused.remove(0).failure());
    }
    begun.refused.iter().for_each(|problem| problem.clone().failure().print(output));
    Ok(begun)
}

impl Begun {
    pub(super) fn goes_on(&self) -> bool {
        self.operations.iter().any(|shown| is_under_way(shown.state))
    }

    /// Says what ended as soon as it was begun, for who does not follow it.
    pub(super) fn tell(&self, output: &Output) {
        let ended = self.operations.iter().filter(|shown| !is_well(shown.state));
        ended.for_each(|shown| failure(shown).print(output));
    }

    /// Finds what was refused because it is under way.
    fn join(&mut self, config: &Config, joins: &[Work], output: &Output) -> Result<(), Failure> {
        for problem in std::mem::take(&mut self.refused) {
            let found = problem.operation.map(|operation| find(config, operation)).transpose()?;
            match found.flatten().filter(|shown| joins.contains(&shown.kind)) {
                Some(shown) => {
                    let (projection, operation) = (&shown.projection, shown.operation);
                    output.note(&format!(
                        "{projection}: under way already, as operation {operation}"
                    ));
                    self.operations.push(shown);
                }
                None => self.refused.push(problem),
            }
        }
        Ok(())
    }
}

/// What the daemon is at; nothing where none answers.
pub(super) fn under_way(config: &Config) -> Vec<Shown> {
    let asked = socket::request(&config.data_dir, "GET", "/v1/admin/operations", ANSWER_TIMEOUT);
    let body = asked.ok().flatten().and_then(|answer| answer.body().ok());
    let known = body.and_then(|body| socket::read::<Data<Shown>>(&body).ok());
    let known = known.map_or_else(Vec::new, |known| known.data);
    known.into_iter().filter(|shown| matches!(shown.state, State::Running | State::Held)).collect()
}

/// One operation; None if it is not known any more.
fn find(config: &Config, operation: u64) -> Result<Option<Shown>, Failure> {
    let path = format!("/v1/admin/operations/{operation}");
    let answer = socket::ask(config, "GET", &path, ANSWER_TIMEOUT)?;
    match answer.code {
        404 => Ok(None),
        _ => Ok(socket::read::<Data<Shown>>(&answer.body()?)?.data.pop()),
    }
}

/// Follows operations until each is over or waits for `promote`. `again` is the command that follows them once more.
pub(super) fn follow(
    config: &Config,
    begun: Begun,
    again: &str,
    output: &Output,
) -> Result<Begun, Failure> {
    let Begun { operations, refused } = begun;
    let runtime = messages::runtime()?;
    let mut progress = Progress::new(std::io::stderr().is_terminal(), output);
    let followed = runtime.block_on(async {
        tokio::select! {
            biased;
            // Where there is no such signal nobody can leave.
            Ok(()) = tokio::signal::ctrl_c() => Err(None),
            followed = until_over(config, operations, &mut progress) => followed.map_err(Some),
        }
    });
    progress.finish();
    // A request that is under way ends with the process.
    runtime.shutdown_background();
    let operations = followed.map_err(|failure| failure.unwrap_or_else(|| detached(again)))?;
    Ok(Begun { operations, refused })
}

/// Prints what operations came to, and ends as they did; what went wrong has been said by then.
pub(super) fn end(begun: &Begun, output: &Output) -> Result<(), Failure> {
    let Begun { operations, refused } = begun;
    if output.json {
        output.line(&serde_json::to_string(begun).expect("operations are plain data"));
    } else if !output.quiet {
        let well = operations.iter().filter(|shown| is_well(shown.state));
        well.for_each(|shown| output.line(&output.told(&sentence(shown))));
    }
    if !operations.iter().all(|shown| is_well(shown.state)) {
        return Err(Failure::printed(Kind::FoundProblems));
    }
    match refused.first() {
        None => Ok(()),
        Some(problem) => Err(Failure::printed(problem.kind())),
    }
}

async fn until_over(
    config: &Config,
    mut operations: Vec<Shown>,
    progress: &mut Progress<'_>,
) -> Result<Vec<Shown>, Failure> {
    let mut told = vec![false; operations.len()];
    loop {
        for (shown, told) in operations.iter().zip(&mut told) {
            if !*told && !is_under_way(shown.state) && !is_well(shown.state) {
                *told = true;
                progress.warn(&failure(shown));
            }
        }
        progress.show(&operations.iter().filter_map(step).collect::<Vec<_>>());
        if !operations.iter().any(|shown| is_under_way(shown.state)) {
            return Ok(operations);
        }
        renew(&mut operations, &look(config).await?)?;
    }
}

fn renew(operations: &mut [Shown], known: &[Shown]) -> Result<(), Failure> {
    for shown in operations {
        // Numbers begin anew with each start of the daemon.
        let same = known.iter().find(|known| {
            known.operation == shown.operation && known.projection == shown.projection
        });
        *shown = same.cloned().ok_or_else(gone)?;
    }
    Ok(())
}

/// All operations of the daemon: once one has ended, or after a while.
async fn look(config: &Config) -> Result<Vec<Shown>, Failure> {
    let data_dir = config.data_dir.clone();
    let path = format!("/v1/admin/operations?_wait={}ms", LOOK_EVERY.as_millis());
    let timeout = LOOK_EVERY + ANSWER_TIMEOUT;
    let asked = move || socket::request(&data_dir, "GET", &path, timeout);
    let answer = tokio::task::spawn_blocking(asked).await.expect("a request does not panic")?;
    Ok(socket::read::<Data<Shown>>(&answer.ok_or_else(gone)?.body()?)?.data)
}

fn step(shown: &Shown) -> Option<Step> {
    let step = Step::of_build(&shown.projection, shown.rebuild.as_ref()?);
    Some(match is_well(shown.state) {
        true => step.troubled(shown.detail.clone()),
        false => step.ended(ended(shown.state)),
    })
}

fn is_under_way(state: State) -> bool {
    matches!(state, State::Running)
}

/// Whether it stands as it was asked for.
fn is_well(state: State) -> bool {
    matches!(state, State::Running | State::Held | State::Done)
}

/// What an operation came to, in a line.
fn sentence(shown: &Shown) -> String {
    let Shown { projection, operation, .. } = shown;
    let kind = shown.kind.word();
    let Some(rebuild) = &shown.rebuild else {
        return format!("{projection}: {kind} begun, operation {operation}");
    };
    let generation = rebuild.generation;
    let messages = match rebuild.total {
        0 => String::new(),
        _ => format!(", {} messages", status::grouped(rebuild.applied)),
    };
    match shown.state {
        State::Running => format!("{projection}: {kind} begun, operation {operation}"),
        State::Held => format!(
            "{projection}: generation {generation} is held{messages}; `viewd promote {projection}` serves it"
        ),
        // It stays so until a person says otherwise.
        _ if shown.kind == Work::Rollback => format!(
            "{projection}: generation {generation} is served{messages}, and pinned; `viewd promote {projection}` ends that"
        ),
        _ => format!("{projection}: generation {generation} is served{messages}"),
    }
}

fn failure(shown: &Shown) -> Failure {
    let Shown { projection, .. } = shown;
    let word = ended(shown.state);
    let detail = shown.detail.as_ref().map_or(String::new(), |detail| format!(": {detail}"));
    let error = anyhow::anyhow!("{} of `{projection}` {word}{detail}", shown.kind.word());
    Failure::new(Kind::FoundProblems, error).hints(shown.next.clone())
}

/// How it went that did not go well.
fn ended(state: State) -> &'static str {
    match state {
        State::Refused | State::WouldForget => "refused",
        State::Cancelled => "cancelled",
        _ => "failed",
    }
}

fn detached(again: &str) -> Failure {
    Failure::new(Kind::Interrupted, anyhow::anyhow!("no longer followed; it goes on in the daemon"))
        .hint(format!(
            "`{again}` follows it again, `viewd status` shows it, `viewd cancel PROJECTION` ends it"
        ))
}

fn gone() -> Failure {
    let error = anyhow::anyhow!("the daemon ended or was restarted before it was done");
    Failure::new(Kind::Unreachable, error).hint(
        "a sealed build goes on with the daemon's next start, any other has left nothing behind: see `viewd status`",
    )
}
