//! Lossless reader and editor of `ntp.conf` (ntp, ntpsec) and `chrony.conf`: every byte not edited stays.
//!
//! | to | use |
//! |---|---|
//! | get the servers of a file, those of the files it includes too | [`Configuration::read`], [`Configuration::associations`] |
//! | know which symmetric keys they share with us | [`Association::key`], [`Configuration::key_file`], [`Configuration::trusts`] |
//! | look at one file line by line | [`Document::parse`], [`Document::lines`] |
//! | change its servers | [`Document::set_sources`], [`add_sources`](Document::add_sources), [`remove_sources`](Document::remove_sources) |
//! | write it back, whole or not at all | [`ConfigFile`] |
//! | find the file a distribution uses | [`KnownFile::present`] |
//!
//! Reading never fails: a line that a daemon would refuse is kept and carries its [`Problem`]. The readings follow the
//! daemons' own lexers, quirks included, because what counts is what the daemon takes from the file: ntpd stops at the
//! first word it does not know and **keeps the server with the options before it**, chronyd refuses to start.
//!
//! ```
//! use ntp_conf::{Dialect, Document, Kind, Source, SetSources};
//!
//! let text = b"driftfile /var/lib/ntp/drift  # kept\npool 0.debian.pool.ntp.org iburst\nrestrict ::1\n";
//! let mut document = Document::parse(Dialect::Ntp, text);
//! let source = document.associations().next().unwrap();
//! assert_eq!((source.kind(), source.address(), source.is_iburst()), (Kind::Pool, "0.debian.pool.ntp.org", true));
//!
//! let servers = [Source::server("time.dfw1.rackspace.com")?.iburst(), Source::server("time2.dfw1.rackspace.com")?.iburst()];
//! let changes = document.set_sources(&servers, &SetSources::default())?;
//! assert_eq!((changes.added.len(), changes.removed.len()), (2, 1));
//! assert_eq!(
//!     String::from_utf8(document.to_bytes())?,
//!     "driftfile /var/lib/ntp/drift  # kept\n\
//!      server time.dfw1.rackspace.com iburst\n\
//!      server time2.dfw1.rackspace.com iburst\n\
//!      #ntp-conf# pool 0.debian.pool.ntp.org iburst\n\
//!      restrict ::1\n"
//! );
//! // Once more changes nothing.
//! assert!(document.set_sources(&servers, &SetSources::default())?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod association;
mod authentication;
mod configuration;
mod dialect;
mod document;
mod edit;
mod file;
mod known;
mod lexer;
mod line;
mod option;
mod restrict;
mod source;

pub use association::{Association, Family, Kind, Problem};
pub use authentication::Authentication;
pub use configuration::{Configuration, IncludedFile, NotIncluded};
pub use dialect::Dialect;
pub use document::Document;
pub use edit::{Changes, Replaced, SetSources, Warning};
pub use file::{ConfigError, ConfigFile};
pub use known::KnownFile;
pub use line::{Content, Include, IncludeKind, Line, ReferenceClock};
pub use option::{AssociationOption, Keyword, Value};
pub use restrict::{Restrict, RestrictTarget};
pub use source::{InvalidSource, Source};
