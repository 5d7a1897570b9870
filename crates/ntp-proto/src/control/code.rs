//! The codes of mode 6 (RFC 9327 §2 to §4): every value kept, named ones by ntpd's words.

use core::fmt;
use core::str::FromStr;

use ntp_types::ParseCodeError;

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident ($what:literal, mask $mask:literal) {
        $($(#[$doc:meta])* $variant:ident = $bits:literal $word:literal,)*
    }) => {
        $(#[$meta])*
        ///
        /// `Display` gives ntpd's word, or the number where there is none; `FromStr` takes either.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// Any other value.
            Other(u8),
        }

        impl $name {
            /// Every named value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// From the field's bits; those outside it are ignored.
            #[must_use]
            pub const fn from_bits(bits: u8) -> Self {
                match bits & $mask {
                    $($bits => Self::$variant,)*
                    bits => Self::Other(bits),
                }
            }

            /// The field's bits.
            #[must_use]
            pub const fn to_bits(self) -> u8 {
                match self {
                    $(Self::$variant => $bits,)*
                    Self::Other(bits) => bits & $mask,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.pad($word),)*
                    Self::Other(bits) => fmt::Display::fmt(bits, f),
                }
            }
        }

        impl FromStr for $name {
            type Err = ParseCodeError;

            fn from_str(text: &str) -> Result<Self, ParseCodeError> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => match text.parse() {
                        Ok(bits) if bits & $mask == bits => Ok(Self::from_bits(bits)),
                        _ => Err(ParseCodeError { expected: $what }),
                    },
                }
            }
        }
    };
}

codes! {
    /// What a control message asks for: five bits.
    Opcode ("control opcode (readvar, … or 0 to 31)", mask 0x1f) {
        /// Reserved.
        Unspecified = 0 "unspecified",
        /// Read the status words; of the system with those of all associations.
        ReadStatus = 1 "readstat",
        /// Read variables of the system or of an association.
        ReadVariables = 2 "readvar",
        /// Write variables.
        WriteVariables = 3 "writevar",
        /// Read variables of a reference clock.
        ReadClock = 4 "clockvar",
        /// Write variables of a reference clock.
        WriteClock = 5 "writeclock",
        /// Set the address asynchronous messages go to.
        SetTrap = 6 "settrap",
        /// An asynchronous message.
        AsyncMessage = 7 "asyncmsg",
        /// Lines of configuration, authenticated.
        Configure = 8 "config",
        /// Have the configuration saved to a file, authenticated.
        SaveConfig = 9 "saveconfig",
        /// Read the list of most recently used addresses, guarded by a nonce.
        ReadMru = 10 "mrulist",
        /// Read an ordered list (`ifstats`, `reslist`), authenticated.
        ReadOrderedList = 11 "orderedlist",
        /// Ask for the nonce `mrulist` wants.
        RequestNonce = 12 "reqnonce",
        /// Remove the address asynchronous messages go to.
        UnsetTrap = 31 "unsettrap",
    }
}

/// Unspecified.
impl Default for Opcode {
    fn default() -> Self {
        Self::Unspecified
    }
}

codes! {
    /// Why a control message was refused: the high octet of the status word when E is set.
    ControlErrorCode ("control error (permission, … or 0 to 255)", mask 0xff) {
        /// No reason given.
        Unspecified = 0 "unspecified",
        /// Authentication failed, or permission denied.
        Permission = 1 "permission",
        /// Bad length or format.
        BadFormat = 2 "badfmt",
        /// Bad opcode.
        BadOpcode = 3 "badop",
        /// Unknown association.
        BadAssociation = 4 "badassoc",
        /// Unknown variable.
        UnknownVariable = 5 "unknownvar",
        /// Bad value of a variable.
        BadValue = 6 "badvalue",
        /// Administratively prohibited.
        Restricted = 7 "restrict",
    }
}

codes! {
    /// What synchronises the system: six bits of the system status word.
    ClockSource ("clock source (ntp, … or 0 to 63)", mask 0x3f) {
        /// Not synchronised, or not known.
        Unspecified = 0 "unspec",
        /// A calibrated atomic clock or a pulse per second.
        Pps = 1 "pps",
        /// A low-frequency radio (WWVB, DCF77).
        LowFrequency = 2 "lf_radio",
        /// A high-frequency radio (WWV).
        HighFrequency = 3 "hf_radio",
        /// An ultra-high-frequency radio (GPS, GOES).
        UltraHighFrequency = 4 "uhf_radio",
        /// The local clock, or IRIG.
        Local = 5 "local",
        /// NTP.
        Ntp = 6 "ntp",
        /// Another protocol.
        Network = 7 "other",
        /// Somebody's wristwatch.
        Wristwatch = 8 "wristwatch",
        /// A telephone modem.
        Telephone = 9 "telephone",
    }
}

codes! {
    /// What last happened to the system: four bits of the system status word.
    SystemEvent ("system event (clock_sync, … or 0 to 15)", mask 0x0f) {
        /// Nothing.
        Unspecified = 0 "unspecified",
        /// The frequency file is not there.
        FrequencyNotSet = 1 "freq_not_set",
        /// The frequency was set.
        FrequencySet = 2 "freq_set",
        /// A spike was detected and ignored; the stepout timer runs.
        Spike = 3 "spike_detect",
        /// Frequency training started.
        FrequencyMode = 4 "freq_mode",
        /// The clock is synchronised.
        Synchronized = 5 "clock_sync",
        /// The daemon was restarted.
        Restart = 6 "restart",
        /// The offset is beyond the panic threshold; the daemon stops.
        PanicStop = 7 "panic_stop",
        /// There is no system peer.
        NoSystemPeer = 8 "no_system_peer",
        /// A leap second is announced.
        LeapArmed = 9 "leap_armed",
        /// It is no longer.
        LeapDisarmed = 10 "leap_disarmed",
        /// A leap second was inserted or deleted.
        LeapEvent = 11 "leap_event",
        /// The clock was stepped.
        ClockStep = 12 "clock_step",
        /// A message from the kernel.
        Kernel = 13 "kern",
        /// The leap second table was read.
        TaiUpdate = 14 "TAI",
        /// The leap second table has expired.
        StaleLeap = 15 "stale_leap",
    }
}

codes! {
    /// What the selection made of an association: three bits of the peer status word.
    Selection ("selection (reject, … or 0 to 7)", mask 0x07) {
        /// Discarded as not valid (` `).
        Reject = 0 "reject",
        /// Discarded by the intersection (`x`).
        Falseticker = 1 "falsetick",
        /// Discarded as more than are needed (`.`).
        Excess = 2 "excess",
        /// Discarded by the cluster algorithm (`-`).
        Outlier = 3 "outlier",
        /// A survivor that is combined (`+`).
        Candidate = 4 "candidate",
        /// A survivor beyond the maximum, kept as backup (`#`).
        Backup = 5 "backup",
        /// The system peer (`*`).
        SystemPeer = 6 "sys.peer",
        /// The system peer, with the pulse per second as the reference (`o`).
        PpsPeer = 7 "pps.peer",
    }
}

impl Selection {
    /// The character `ntpq -p` puts before the association.
    #[must_use]
    pub const fn tally(self) -> char {
        match self {
            Self::Reject | Self::Other(_) => ' ',
            Self::Falseticker => 'x',
            Self::Excess => '.',
            Self::Outlier => '-',
            Self::Candidate => '+',
            Self::Backup => '#',
            Self::SystemPeer => '*',
            Self::PpsPeer => 'o',
        }
    }
}

codes! {
    /// What last happened to an association: four bits of the peer status word.
    PeerEvent ("peer event (reachable, … or 0 to 15)", mask 0x0f) {
        /// Nothing.
        Unspecified = 0 "unspecified",
        /// The association was mobilised.
        Mobilize = 1 "mobilize",
        /// The association was demobilised.
        Demobilize = 2 "demobilize",
        /// The server became unreachable.
        Unreachable = 3 "unreachable",
        /// The server became reachable.
        Reachable = 4 "reachable",
        /// The association was restarted.
        Restart = 5 "restart",
        /// No answer came.
        NoReply = 6 "no_reply",
        /// The rate was exceeded.
        RateExceeded = 7 "rate_exceeded",
        /// Access was denied.
        AccessDenied = 8 "access_denied",
        /// The server announces a leap second.
        LeapArmed = 9 "leap_armed",
        /// It became the system peer.
        SystemPeer = 10 "sys_peer",
        /// An event of the reference clock, see its status word.
        ClockEvent = 11 "clock_event",
        /// Authentication failed.
        BadAuthentication = 12 "bad_auth",
        /// A spike was suppressed.
        Popcorn = 13 "popcorn",
        /// Interleaved mode was entered.
        InterleaveMode = 14 "interleave_mode",
        /// An interleaved packet was wrong and recovered from.
        InterleaveError = 15 "interleave_error",
    }
}

codes! {
    /// What a reference clock driver says: an octet of the clock status word.
    ClockEvent ("clock event (clk_fault, … or 0 to 255)", mask 0xff) {
        /// Nominal.
        Nominal = 0 "clk_unspec",
        /// No reply to a poll.
        NoReply = 1 "clk_noreply",
        /// The timecode has a bad format.
        BadFormat = 2 "clk_badformat",
        /// A fault of hardware or software.
        Fault = 3 "clk_fault",
        /// Loss of signal.
        BadSignal = 4 "clk_bad_signal",
        /// The date is wrong.
        BadDate = 5 "clk_bad_date",
        /// The time is wrong.
        BadTime = 6 "clk_bad_time",
    }
}
