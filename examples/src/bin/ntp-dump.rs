//! `ntp-dump`: what a packet says, field by field, for people or as JSON.

use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ntp_examples::capture::{self, Datagram};
use ntp_examples::dump::{json, text, unhex};
use ntp_examples::output::remark;
use ntp_types::UnixTime;

/// Dissect NTP packets: time (versions 1 to 4), control (mode 6), private (mode 7), the draft of version 5, NTP over PTP.
///
/// A packet that cannot be read is shown with the reason and does not end the run.
#[derive(Debug, Parser)]
#[command(
    name = "ntp-dump",
    version,
    max_term_width = 80,
    after_help = "\
Examples:
  xxd -p -c 0 packet.bin | ntp-dump --hex
  ntp-dump --pcap capture.pcapng --json | jq .transmit_ts

Exit status: 0 if the input was read to its end, 1 if not, 2 for wrong
arguments."
)]
struct Arguments {
    #[command(flatten)]
    input: Input,
    /// One JSON object per packet and line
    #[arg(long)]
    json: bool,
    /// UDP ports taken from a capture
    #[arg(long = "port", value_name = "PORT", default_values_t = [123, 319])]
    ports: Vec<u16>,
    /// Take every UDP datagram of a capture, whatever its ports
    #[arg(long, conflicts_with = "ports")]
    all_ports: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Input {
    /// Read packets from standard input, one a line in hexadecimal; blank lines and what follows `#` are skipped
    #[arg(long)]
    hex: bool,
    /// Read packets from a capture file, pcap or pcapng; `-` is standard input, as in `tcpdump -w - udp port 123 | ntp-dump --pcap -`
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            remark(format_args!("ntp-dump: {error}"));
            ExitCode::FAILURE
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match &arguments.input.pcap {
        Some(path) => dump_capture(arguments, path, &mut out)?,
        None => {
            for line in io::stdin().lock().split(b'\n') {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                let digits = line.split('#').next().unwrap_or_default().trim();
                if !digits.is_empty() {
                    show_hex(&mut out, arguments.json, digits)?;
                    out.flush()?;
                }
            }
        }
    }
    out.flush()
}

fn dump_capture(arguments: &Arguments, path: &Path, out: &mut impl Write) -> io::Result<()> {
    let name = |error: io::Error| match error.kind() {
        ErrorKind::BrokenPipe => error,
        kind => io::Error::new(kind, format!("{}: {error}", path.display())),
    };
    let is_live = path.as_os_str() == "-";
    let file: Box<dyn Read + Send> = if is_live { Box::new(io::stdin()) } else { Box::new(open(path).map_err(name)?) };
    let is_wanted = |datagram: &Datagram<'_>| {
        let ports = [datagram.source.port(), datagram.destination.port()];
        arguments.all_ports || ports.iter().any(|port| arguments.ports.contains(port))
    };
    let mut shown = 0_usize;
    let tally = capture::read(file, |datagram| {
        if is_wanted(datagram) {
            shown += 1;
            show_captured(out, arguments.json, datagram)?;
            if is_live {
                out.flush()?;
            }
        }
        Ok(())
    })
    .map_err(name)?;
    out.flush()?;
    if shown < tally.frames {
        remark(format_args!("ntp-dump: {shown} packets shown of {} frames, {} UDP", tally.frames, tally.datagrams));
    }
    Ok(())
}

/// A directory can be opened too, and what then fails no longer says why.
fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

fn show_hex(out: &mut impl Write, is_json: bool, digits: &str) -> io::Result<()> {
    match unhex(digits) {
        Ok(packet) if is_json => writeln!(out, "{}", json::object(&packet)),
        Ok(packet) => writeln!(out, "{}", text::describe(&packet, now())),
        Err(error) if is_json => writeln!(out, "{}", json::refusal(&error)),
        Err(error) => writeln!(out, "refused: {error}\n"),
    }
}

fn show_captured(out: &mut impl Write, is_json: bool, datagram: &Datagram<'_>) -> io::Result<()> {
    let Datagram { frame, time, source, destination, payload, is_cut } = *datagram;
    if is_json {
        return writeln!(out, "{}", json::captured(datagram));
    }
    let when = time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    let cut = if is_cut { ", cut short in the capture" } else { "" };
    writeln!(out, "#{frame} {when} {source} to {destination}{cut}")?;
    writeln!(out, "{}", text::describe(payload, time.unwrap_or_else(now)))
}

/// The pivot of dates that have no era: the machine's clock, which need not be right but within 68 years.
fn now() -> UnixTime {
    std::time::SystemTime::now().into()
}
