//! Where an agent shows what it does: a live table on a terminal, plain lines on a pipe, JSON for programs.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use ntp_client::{Event, Snapshot};
use ntp_types::NtpDuration;
use serde_json::Value;

use crate::summary::Report;
use crate::table::{self, Paint};
use crate::{json, text};

/// Events shown below the live table.
const EVENTS_SHOWN: usize = 6;
/// A plain status line comes at most this often.
const PLAIN_SPACING: Duration = Duration::from_secs(1);

/// How to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A table that is drawn again in place.
    Live(Paint),
    /// A line for each event and each change.
    Plain,
    /// One object per line.
    Json,
}

impl Style {
    /// JSON if asked for; otherwise what suits standard output.
    #[must_use]
    pub fn choose(json: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        match (json, io::stdout().is_terminal() && !is_dumb) {
            (true, _) => Self::Json,
            (false, true) if std::env::var_os("NO_COLOR").is_some() => Self::Live(Paint::Plain),
            (false, true) => Self::Live(Paint::Colour),
            (false, false) => Self::Plain,
        }
    }

    /// How often it wants to be drawn again without anything having happened.
    #[must_use]
    pub fn refresh(self) -> Option<Duration> {
        match self {
            Self::Live(_) => Some(Duration::from_millis(250)),
            Self::Plain | Self::Json => None,
        }
    }
}

/// A view on standard output. Its errors (a closed pipe) end the program.
#[derive(Debug)]
pub struct View {
    style: Style,
    title: String,
    events: VecDeque<String>,
    drawn: usize,
    last: Option<Duration>,
}

impl View {
    /// Shows under `title`.
    #[must_use]
    pub fn new(style: Style, title: impl Into<String>) -> Self {
        Self { style, title: title.into(), events: VecDeque::new(), drawn: 0, last: None }
    }

    /// Its style.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// The beginning.
    ///
    /// # Errors
    /// Standard output's.
    pub fn begin(&mut self) -> io::Result<()> {
        match self.style {
            Style::Plain => self.say(Duration::ZERO, &self.title.clone()),
            Style::Live(_) | Style::Json => Ok(()),
        }
    }

    /// Something happened `time` after the start.
    ///
    /// # Errors
    /// Standard output's.
    pub fn event(&mut self, time: Duration, event: &Event) -> io::Result<()> {
        match self.style {
            Style::Json => write_json(&json::event(time.as_secs_f64(), event)),
            _ => self.say(time, &event.to_string()),
        }
    }

    /// A line of the program's own.
    ///
    /// # Errors
    /// Standard output's.
    pub fn say(&mut self, time: Duration, line: &str) -> io::Result<()> {
        match self.style {
            Style::Json => write_json(&serde_json::json!({
                "type": "note", "time": time.as_secs_f64(), "text": line
            })),
            Style::Plain => {
                let mut out = io::stdout().lock();
                writeln!(out, "{:8.1} s  {line}", time.as_secs_f64())?;
                out.flush()
            }
            Style::Live(_) => {
                if self.events.len() == EVENTS_SHOWN {
                    self.events.pop_front();
                }
                self.events.push_back(text::fit(&format!("{:8.1} s  {line}", time.as_secs_f64()), 80));
                Ok(())
            }
        }
    }

    /// Where things stand; `is_news` when a measurement came in since the last time.
    ///
    /// # Errors
    /// Standard output's.
    pub fn show(
        &mut self,
        time: Duration,
        snapshot: &Snapshot,
        true_offset: Option<NtpDuration>,
        is_news: bool,
    ) -> io::Result<()> {
        match self.style {
            Style::Json if is_news => write_json(&json::snapshot(time.as_secs_f64(), snapshot, true_offset)),
            Style::Plain if is_news && self.last.is_none_or(|last| time - last >= PLAIN_SPACING) => {
                self.last = Some(time);
                let line = table::clock(snapshot, Paint::Plain);
                let agree = snapshot.system.survivors;
                self.say(time, &format!("{line}   {agree} of {} sources", snapshot.sources.len()))
            }
            Style::Live(paint) => self.draw(time, snapshot, true_offset, paint),
            _ => Ok(()),
        }
    }

    /// Leaves the table where it is.
    pub fn end(&mut self) {
        self.drawn = 0;
    }

    /// What came of it all.
    ///
    /// # Errors
    /// Standard output's.
    pub fn finish(&mut self, report: &Report) -> io::Result<()> {
        if self.style == Style::Json {
            return write_json(&report.json);
        }
        let mut out = io::stdout().lock();
        writeln!(out)?;
        for line in &report.lines {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }

    /// A line after the end; programs do not get it.
    ///
    /// # Errors
    /// Standard output's.
    pub fn print(&mut self, line: &str) -> io::Result<()> {
        match self.style {
            Style::Json => Ok(()),
            _ => writeln!(io::stdout(), "{line}"),
        }
    }

    fn draw(
        &mut self,
        time: Duration,
        snapshot: &Snapshot,
        true_offset: Option<NtpDuration>,
        paint: Paint,
    ) -> io::Result<()> {
        let mut page = format!("{:<68}{:>10.1} s\n\n", self.title, time.as_secs_f64());
        page += &table::clock(snapshot, paint);
        page.push('\n');
        if let Some(offset) = true_offset {
            page += &format!("truth    the clock is off by {}\n", text::signed(offset));
        }
        page.push('\n');
        page += &table::sources(snapshot, paint);
        page.push('\n');
        for event in &self.events {
            page += event;
            page.push('\n');
        }
        let lines = page.lines().count();
        let mut out = io::stdout().lock();
        if self.drawn > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.drawn)?;
        }
        self.drawn = lines;
        out.write_all(page.as_bytes())?;
        out.flush()
    }
}

/// One object on one line.
///
/// # Errors
/// Standard output's.
pub fn write_json(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}
