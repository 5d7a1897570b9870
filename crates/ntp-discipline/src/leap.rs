//! Leap seconds: who is believed, and when.

use ntp_types::LeapIndicator;

/// What more than half of the voters say; no warning without such a majority.
///
/// [`LeapIndicator::Unsynchronized`] is a vote for no warning.
#[must_use]
pub fn vote(voters: impl IntoIterator<Item = LeapIndicator>) -> LeapIndicator {
    let (mut all, mut insert, mut delete) = (0_u32, 0_u32, 0_u32);
    for voter in voters {
        all += 1;
        match voter {
            LeapIndicator::InsertSecond => insert += 1,
            LeapIndicator::DeleteSecond => delete += 1,
            LeapIndicator::NoWarning | LeapIndicator::Unsynchronized => {}
        }
    }
    if insert > all / 2 {
        LeapIndicator::InsertSecond
    } else if delete > all / 2 {
        LeapIndicator::DeleteSecond
    } else {
        LeapIndicator::NoWarning
    }
}
