//! What operators tell the daemon about one projection.

use std::sync::mpsc::TrySendError;
use std::time::Duration;

use tokio::sync::oneshot;

use super::daemon::Daemon;
use crate::status::{Reason, State};
use crate::worker::command::{Accepted, Answer, Command, Refused};
use crate::worker::numbers::Numbers;

/// A worker asks the stream about itself and its anchors, each answer within five seconds: more is an outage.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

impl Daemon {
    /// Goes on past a gap, or with a restored stream whose messages are those that were read.
    pub async fn accept(&self, projection: &str) -> Answer {
        let tracked = self.projections.iter().find(|tracked| tracked.shared.name() == projection);
        let tracked = tracked.ok_or(Refused::Unknown)?;
        let numbers = tracked.shared.numbers();
        if numbers.state != State::Failed {
            return Ok(Accepted::Nothing);
        }
        // Who stands still hears nothing.
        if numbers.reason == Some(Reason::Stalled) {
            return Err(not_acceptable(numbers));
        }
        let (reply, answer) = oneshot::channel();
        match tracked.commands.try_send(Command::Accept(reply)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(Refused::Busy("another command is being carried out".to_owned()));
            }
            // It has no worker.
            Err(TrySendError::Disconnected(_)) => return Err(not_acceptable(numbers)),
        }
        match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Refused::Busy("the daemon is shutting down".to_owned())),
            Err(_) => {
                let seconds = ANSWER_TIMEOUT.as_secs();
                Err(Refused::Unreachable(format!("no answer within {seconds} s")))
            }
        }
    }
}

fn not_acceptable(numbers: Numbers) -> Refused {
    Refused::NotAcceptable { detail: numbers.detail.unwrap_or_default(), next: numbers.next }
}
