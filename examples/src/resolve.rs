//! Names resolved beside the loop, which must not wait for it: libc's resolver knows no other way than to block.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread;

use crate::address::Host;

/// Names asked about at a time: each takes a thread, and may take its time.
const AT_ONCE: usize = 16;

/// What became of a question: its name, and the answer.
type Answer<Id> = (Id, io::Result<Vec<SocketAddr>>);

/// A thread for each name asked about, which ends with its answer; none for numbers.
#[derive(Debug)]
pub struct Resolver<Id> {
    answered: Sender<Answer<Id>>,
    answers: Receiver<Answer<Id>>,
    /// Numbers, which wait for nobody.
    known: VecDeque<Answer<Id>>,
    /// Names whose turn is still to come.
    waiting: VecDeque<(Id, Host)>,
    /// How many names are asked about.
    asked: usize,
}

impl<Id> Default for Resolver<Id> {
    fn default() -> Self {
        let (answered, answers) = channel();
        Self { answered, answers, known: VecDeque::new(), waiting: VecDeque::new(), asked: 0 }
    }
}

impl<Id: Send + Copy + 'static> Resolver<Id> {
    /// Asks for the addresses of a host; [`poll`](Self::poll) will have them under this name.
    pub fn ask(&mut self, id: Id, host: &Host) {
        if host.is_number() {
            self.known.push_back((id, host.resolve()));
        } else {
            self.waiting.push_back((id, host.clone()));
            self.start();
        }
    }

    /// The next answer that is in.
    pub fn poll(&mut self) -> Option<Answer<Id>> {
        if let Some(answer) = self.known.pop_front() {
            return Some(answer);
        }
        let answer = self.answers.try_recv().ok()?;
        self.asked -= 1;
        self.start();
        Some(answer)
    }

    /// Whether an answer is still to come.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.asked > 0 || !self.known.is_empty()
    }

    fn start(&mut self) {
        while self.asked < AT_ONCE {
            let Some((id, host)) = self.waiting.pop_front() else { return };
            self.asked += 1;
            let answered = self.answered.clone();
            // The receiver outlives everybody who sends, but for the end of the program, when nobody listens.
            let resolve = move || drop(answered.send((id, host.resolve())));
            if let Err(error) = thread::Builder::new().name("resolver".into()).spawn(resolve) {
                let _ = self.answered.send((id, Err(error)));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests
mod tests {
    use super::*;

    #[test]
    fn any_number_of_names_is_answered_and_few_at_a_time() {
        let (mut resolver, mut answers) = (Resolver::default(), vec![0; 100]);
        for id in 0..answers.len() {
            let host = if id % 2 == 0 { "localhost:123" } else { "127.0.0.1:123" };
            resolver.ask(id, &host.parse().unwrap());
        }
        while resolver.is_waiting() {
            assert!(resolver.asked <= AT_ONCE);
            match resolver.poll() {
                Some((id, addresses)) => {
                    assert!(!addresses.unwrap().is_empty());
                    *answers.get_mut(id).unwrap() += 1;
                }
                None => thread::yield_now(),
            }
        }
        assert!(resolver.poll().is_none() && answers.iter().all(|&count| count == 1), "{answers:?}");
    }
}
