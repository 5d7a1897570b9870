//! What selection says of a source.

use core::fmt;

/// What selection says of a source, from worst to best: a later one is better.
///
/// The letters are those of `ntpq -p` ([`letter`](Self::letter)) and `chronyc sources` ([`chronyc`](Self::chronyc)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Verdict {
    /// The slot holds no source.
    #[default]
    Vacant,
    /// The last eight polls went unanswered.
    Unreachable,
    /// The server says it is not synchronised.
    Unsynchronized,
    /// Its root distance is beyond what the policy accepts.
    Distant,
    /// It smears leap seconds while the others do not, or the other way round.
    Smeared,
    /// Monitored only, by configuration.
    NoSelect,
    /// Too few samples yet to be judged.
    Pending,
    /// Its interval does not meet that of the majority.
    Falseticker,
    /// Agrees, but more sources than the engine can weigh agree better.
    Excess,
    /// Agrees, but too scattered beside the others: cast off by the cluster algorithm.
    Outlier,
    /// Agrees and waits until it has agreed long enough to be combined.
    Backup,
    /// A survivor: combined into the clock.
    Candidate,
    /// The survivor whose server, stratum and leap the system takes on.
    SystemPeer,
}

impl Verdict {
    /// Whether the source is one of those that steer the clock.
    #[must_use]
    pub const fn is_survivor(self) -> bool {
        matches!(self, Self::Candidate | Self::SystemPeer)
    }

    /// Whether selection found it to agree with the majority.
    #[must_use]
    pub const fn is_truechimer(self) -> bool {
        matches!(self, Self::Excess | Self::Outlier | Self::Backup | Self::Candidate | Self::SystemPeer)
    }

    /// The tally letter of `ntpq -p`.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Falseticker => 'x',
            Self::Excess => '.',
            Self::Outlier => '-',
            Self::Backup => '#',
            Self::Candidate => '+',
            Self::SystemPeer => '*',
            _ => ' ',
        }
    }

    /// The state letter of `chronyc sources`.
    #[must_use]
    pub const fn chronyc(self) -> char {
        match self {
            Self::Falseticker => 'x',
            Self::Excess | Self::Outlier | Self::Backup => '-',
            Self::Candidate => '+',
            Self::SystemPeer => '*',
            _ => '?',
        }
    }

    /// The selection field of the peer status word of mode 6.
    ///
    /// Source: RFC 9327 §3.2.
    #[must_use]
    pub const fn selection_code(self) -> u8 {
        match self {
            Self::Falseticker => 1,
            Self::Excess => 2,
            Self::Outlier => 3,
            Self::Candidate => 4,
            Self::Backup => 5,
            Self::SystemPeer => 6,
            _ => 0,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Vacant => "vacant",
            Self::Unreachable => "unreachable",
            Self::Unsynchronized => "unsynchronised",
            Self::Distant => "too distant",
            Self::Smeared => "other leap smear",
            Self::NoSelect => "not selectable",
            Self::Pending => "pending",
            Self::Falseticker => "falseticker",
            Self::Excess => "excess",
            Self::Outlier => "outlier",
            Self::Backup => "backup",
            Self::Candidate => "candidate",
            Self::SystemPeer => "system peer",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    /// From worst to best, with the letters of the manual pages of ntpq (`-p`, its peer status word) and chronyc (`sources`).
    const ALL: [(Verdict, char, char, u8); 13] = [
        (Verdict::Vacant, ' ', '?', 0),
        (Verdict::Unreachable, ' ', '?', 0),
        (Verdict::Unsynchronized, ' ', '?', 0),
        (Verdict::Distant, ' ', '?', 0),
        (Verdict::Smeared, ' ', '?', 0),
        (Verdict::NoSelect, ' ', '?', 0),
        (Verdict::Pending, ' ', '?', 0),
        (Verdict::Falseticker, 'x', 'x', 1),
        (Verdict::Excess, '.', '-', 2),
        (Verdict::Outlier, '-', '-', 3),
        (Verdict::Backup, '#', '-', 5),
        (Verdict::Candidate, '+', '+', 4),
        (Verdict::SystemPeer, '*', '*', 6),
    ];

    #[test]
    fn letters_are_those_that_operators_know() {
        for (verdict, ntpq, chronyc, code) in ALL {
            assert_eq!(
                (verdict.letter(), verdict.chronyc(), verdict.selection_code()),
                (ntpq, chronyc, code),
                "{verdict}"
            );
        }
    }

    #[test]
    fn a_later_one_is_better() {
        for pair in ALL.windows(2) {
            let [(worse, ..), (better, ..)] = pair else { continue };
            assert!(worse < better && worse.is_truechimer() <= better.is_truechimer(), "{worse} {better}");
            assert!(worse.is_survivor() <= better.is_survivor() && worse.to_string() != better.to_string());
        }
        assert_eq!(Verdict::default(), Verdict::Vacant);
    }
}
