//! `viewd rebuild`, `rollback`, `promote`: another generation is to be served, by the running daemon.

use super::failure::{Failure, Kind as FailureKind};
use super::output::Output;
use super::{args, operation, socket};
use crate::config::Config;
use crate::rebuild::operation::{Kind, Progress};

pub(super) fn run(
    config: &Config,
    arguments: &args::Rebuild,
    output: &Output,
) -> Result<(), Failure> {
    let names = arguments.projections.join(",");
    let (path, again) = match &arguments.projections[..] {
        [] => ("/v1/admin/rebuild?".to_owned(), "viewd rebuild --all".to_owned()),
        [one] => {
            (format!("/v1/admin/{}?", socket::path(one, "rebuild")), format!("viewd rebuild {one}"))
        }
        several => (
            format!("/v1/admin/rebuild?_projections={}&", socket::encoded(&names)),
            format!("viewd rebuild {}", several.join(" ")),
        ),
    };
    let options =
        [("_hold", arguments.hold), ("_forget", arguments.forget), ("_force", arguments.force)];
    // What is under way is not what was asked for where it was asked for otherwise.
    let plain = !arguments.detach && options.iter().all(|(_, given)| !given);
    let joins: &[Kind] = if plain { &[Kind::Rebuild, Kind::Reshape] } else { &[] };
    let begun = operation::begin(config, &(path + &flags(&options)), joins, output)?;
    if arguments.detach {
        begun.tell(output);
        if begun.goes_on() {
            output.note(&output.told(&format!("`{again}` follows it to its end")));
        }
        return operation::end(&begun, output);
    }
    let followed = operation::follow(config, begun, &again, output)?;
    operation::end(&followed, output)?;
    if !arguments.hold && followed.operations.iter().any(|shown| shown.state == Progress::Held) {
        // It was to be served, and another has asked for it not to be yet.
        return Err(Failure::printed(FailureKind::Busy));
    }
    Ok(())
}

pub(super) fn promote(config: &Config, projection: &str, output: &Output) -> Result<(), Failure> {
    let path = format!("/v1/admin/{}", socket::path(projection, "promote"));
    let answer = operation::ask(config, &path)?;
    if answer.code == 200 {
        // There is nothing to follow: it is so by now.
        return socket::print(&answer.body, output);
    }
    let begun = operation::begun(config, answer, &[], output)?;
    let again = format!("viewd promote {projection}");
    operation::end(&operation::follow(config, begun, &again, output)?, output)
}

pub(super) fn rollback(
    config: &Config,
    arguments: &args::Rollback,
    output: &Output,
) -> Result<(), Failure> {
    let options = [("_now", arguments.now), ("_accept_gap", arguments.accept_gap)];
    let name = &arguments.projection;
    let path = format!("/v1/admin/{}?{}", socket::path(name, "rollback"), flags(&options));
    let joins: &[Kind] = if arguments.now { &[] } else { &[Kind::Rollback] };
    let begun = operation::begin(config, &path, joins, output)?;
    let again = format!("viewd rollback {name}");
    operation::end(&operation::follow(config, begun, &again, output)?, output)
}

fn flags(options: &[(&str, bool)]) -> String {
    let given = options.iter().filter(|(_, given)| *given);
    given.map(|(name, _)| format!("{name}=true")).collect::<Vec<_>>().join("&")
}
