//! What a server's clock can truthfully say of itself at any moment (RFC 5905 §11.3).

use ntp_proto::ServerVariables;
use ntp_types::{
    Frequency, Instant, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Precision, ReferenceId, Stratum,
};

/// The largest root distance at which a clock that is followed no more is still one.
const MAXIMUM_DISTANCE: NtpDuration = NtpDuration::from_nanos(1_500_000_000);

/// A server's variables as they stood at one instant, and how their error bound grows from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerClock {
    variables: ServerVariables,
    at: Instant,
    growth: Frequency,
    is_local: bool,
}

impl ServerClock {
    /// A clock that follows nothing: leap 3, stratum 16 (0 on the wire).
    #[must_use]
    pub fn unsynchronized(precision: Precision) -> Self {
        let variables = ServerVariables { precision, ..ServerVariables::default() };
        Self { variables, at: Instant::ZERO, growth: Frequency::ZERO, is_local: false }
    }

    /// A clock that is its own reference, at the operator's word: reference id 127.127.1.1, at stratum 1 `LOCL`.
    ///
    /// Its reference time is that of each answer, its root distance zero: it is right by definition.
    #[must_use]
    pub fn local(stratum: Stratum, precision: Precision) -> Self {
        let reference = if stratum == Stratum::PRIMARY { *b"LOCL" } else { [127, 127, 1, 1] };
        let variables = ServerVariables {
            leap: LeapIndicator::NoWarning,
            stratum,
            precision,
            root_delay: NtpShort::ZERO,
            root_dispersion: NtpShort::ZERO,
            reference_id: ReferenceId::from_bytes(reference),
            reference_timestamp: NtpTimestamp::UNSET,
        };
        Self { variables, at: Instant::ZERO, growth: Frequency::ZERO, is_local: true }
    }

    /// A clock that follows others: its variables as they stood at `at`, its root dispersion growing by 15 ppm from then on.
    #[must_use]
    pub fn following(variables: ServerVariables, at: Instant) -> Self {
        Self { variables, at, growth: Frequency::TOLERANCE, is_local: false }
    }

    /// The same clock with a root dispersion that grows by `rate`.
    #[must_use]
    pub fn with_growth(mut self, rate: Frequency) -> Self {
        self.growth = rate.abs();
        self
    }

    /// Its variables at `now`, when the clock showed `time`.
    ///
    /// One that follows others and was not heard of until its root distance had grown beyond 1.5 s says that it is
    /// unsynchronised: no client would use it, and whoever spoke for it may be gone.
    ///
    /// Source: RFC 5905 §11.2.3 (MAXDIST).
    #[must_use]
    pub fn variables(&self, now: Instant, time: NtpTimestamp) -> ServerVariables {
        let mut variables = self.variables;
        if self.is_local {
            variables.reference_timestamp = time;
        }
        let grown = self.growth.over(now.since(self.at));
        if grown > NtpDuration::ZERO {
            let dispersion = variables.root_dispersion.to_duration() + grown;
            if variables.root_delay.to_duration().half() + dispersion > MAXIMUM_DISTANCE {
                return Self::unsynchronized(variables.precision).variables;
            }
            variables.root_dispersion = NtpShort::from_duration(dispersion);
        }
        variables
    }
}
