//! `viewd accept`, `pause`, `resume`, `cancel`: one word to the daemon about a projection, done when it has answered.

use std::time::Duration;

use super::failure::Failure;
use super::output::Output;
use super::socket;
use crate::config::Config;

/// Longer than the daemon itself waits for a worker, and that for the stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);

/// Says the word, and prints what became of it.
pub(super) fn run(
    config: &Config,
    projection: &str,
    word: &str,
    output: &Output,
) -> Result<(), Failure> {
    let path = format!("/v1/admin/{}", socket::path(projection, word));
    let answer = socket::ask(config, "POST", &path, ANSWER_TIMEOUT)?;
    socket::print(&answer.body()?, output)
}
