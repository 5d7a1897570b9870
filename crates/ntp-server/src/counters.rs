//! What a server did, counted by reason.

use crate::DropReason;

/// Declares the counters once: the fields, their names for machines, and the sum.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// Datagrams by what became of them: each is counted once beside [`received`](Self::received).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Counters {
            /// Datagrams handed in.
            pub received: u64,
            /// Answers and kisses signed, because their requests were: counted by their outcome too.
            pub signed: u64,
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        impl Counters {
            /// How many outcomes there are.
            pub const COUNT: usize = [$(stringify!($name)),*].len();

            /// Each outcome: name, what it means, and how many; they add up to [`received`](Self::received).
            #[must_use]
            pub fn outcomes(&self) -> [(&'static str, &'static str, u64); Self::COUNT] {
                [$((stringify!($name), concat!($($doc),+).trim_ascii(), self.$name)),*]
            }
        }

        impl core::ops::AddAssign for Counters {
            /// Adds up workers.
            fn add_assign(&mut self, other: Self) {
                self.received = self.received.wrapping_add(other.received);
                self.signed = self.signed.wrapping_add(other.signed);
                $(self.$name = self.$name.wrapping_add(other.$name);)*
            }
        }
    };
}

counters! {
    /// Answered with time.
    answered,
    /// Answered with time, interleaved (RFC 9769).
    interleaved,
    /// Answered with time although over the rate limit.
    leaked,
    /// Answered with the kiss RATE: over the rate limit.
    rate_kisses,
    /// Answered with the kiss DENY: refused by a rule.
    deny_kisses,
    /// Answered with a crypto-NAK: signed with a key this server does not hold, or not truly.
    crypto_naks,
    /// Answered with the kiss NTSN: NTS cookies this server cannot open.
    nts_naks,
    /// Dropped: too short or malformed.
    malformed,
    /// Dropped: longer than any request.
    too_long,
    /// Dropped: a version this server does not speak.
    versions,
    /// Dropped: a mode that asks for nothing.
    modes,
    /// Control messages (modes 6 and 7), not answered here.
    control,
    /// Dropped: from a source that nothing can be sent to.
    sources,
    /// Dropped: ignored by a rule.
    ignored,
    /// Dropped: not signed, as a rule demands.
    unsigned,
    /// Dropped: over the rate limit.
    rate_limited,
    /// Dropped: over the ceiling for everybody together.
    over_ceiling,
    /// Dropped: in the second that a smeared leap makes ambiguous.
    leap_second,
    /// Dropped: the buffer for the answer was too short.
    no_room,
}

impl Counters {
    /// Where datagrams dropped for this reason are counted.
    pub(crate) fn of(&mut self, reason: DropReason) -> &mut u64 {
        match reason {
            DropReason::Malformed => &mut self.malformed,
            DropReason::TooLong => &mut self.too_long,
            DropReason::Version(_) => &mut self.versions,
            DropReason::Mode(_) => &mut self.modes,
            DropReason::Control => &mut self.control,
            DropReason::Source => &mut self.sources,
            DropReason::Ignored => &mut self.ignored,
            DropReason::Unsigned => &mut self.unsigned,
            DropReason::RateLimited => &mut self.rate_limited,
            DropReason::OverCeiling => &mut self.over_ceiling,
            DropReason::LeapSecond => &mut self.leap_second,
            DropReason::NoRoom => &mut self.no_room,
        }
    }
}
