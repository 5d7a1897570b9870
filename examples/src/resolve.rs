//! Names resolved beside the loop, which must not wait for it: libc's resolver knows no other way than to block.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread;

use crate::address::Host;

/// What became of a question: its name, and the answer.
type Answer<Id> = (Id, io::Result<Vec<SocketAddr>>);

/// A thread for each name asked about, which ends with its answer; none for numbers.
#[derive(Debug)]
pub struct Resolver<Id> {
    answered: Sender<Answer<Id>>,
    answers: Receiver<Answer<Id>>,
    pending: usize,
}

impl<Id> Default for Resolver<Id> {
    fn default() -> Self {
        let (answered, answers) = channel();
        Self { answered, answers, pending: 0 }
    }
}

impl<Id: Send + Copy + 'static> Resolver<Id> {
    /// Asks for the addresses of a host; [`poll`](Self::poll) will have them under this name.
    pub fn ask(&mut self, id: Id, host: &Host) {
        self.pending += 1;
        let (answered, asked) = (self.answered.clone(), host.clone());
        // The receiver outlives everybody who sends, but for the end of the program, when nobody listens.
        let resolve = move || drop(answered.send((id, asked.resolve())));
        if host.is_number() {
            resolve();
        } else if let Err(error) = thread::Builder::new().name("resolver".into()).spawn(resolve) {
            let _ = self.answered.send((id, Err(error)));
        }
    }

    /// The next answer that is in.
    pub fn poll(&mut self) -> Option<Answer<Id>> {
        let answer = self.answers.try_recv().ok()?;
        self.pending -= 1;
        Some(answer)
    }

    /// Whether an answer is still to come.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.pending > 0
    }
}
