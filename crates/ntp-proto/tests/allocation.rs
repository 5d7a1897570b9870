//! Nothing here allocates: counted over every captured packet, read, written, asked and answered.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // how a test fails

mod common;

use std::hint::black_box;
use std::net::SocketAddr;

use allocation_counter::measure;
use common::captures;
use ntp_proto::{
    AnswerTemplate, ClientRequest, ExtensionType, Packet, PacketKind, PacketWriter, Reader, Request, ServerVariables,
};
use ntp_types::{KissCode, LeapIndicator, NtpTimestamp, Poll, Precision, Stratum};

/// Allocations of `work` on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    measure(work).count_total
}

#[test]
fn reading_writing_asking_and_answering_allocate_nothing() {
    let packets: Vec<Vec<u8>> = captures().into_iter().map(|capture| capture.payload).collect();
    let server: SocketAddr = "192.0.2.1:123".parse().unwrap();
    let now = NtpTimestamp::new(3_900_000_000, 7);
    assert_eq!(allocations(|| drop(black_box(vec![1_u8]))), 1, "the counter counts");

    let template = AnswerTemplate::new(&ServerVariables {
        leap: LeapIndicator::NoWarning,
        stratum: Stratum::PRIMARY,
        ..ServerVariables::default()
    });
    let mut buffer = [0; 1024];
    let count = allocations(|| {
        for bytes in &packets {
            black_box(PacketKind::of(bytes));
            read(bytes, &mut buffer);
            if let Ok(request) = Request::parse(bytes) {
                black_box(template.answer(&request, now, now));
                black_box(template.kiss(&request, KissCode::Rate, Poll::from_log2(8)));
                black_box(template.nts_nak(&request, &mut buffer).is_ok());
            }
            let (request, pending) = ClientRequest::new(now).start(server);
            let mut answer = template.answer(&Request::parse(&request).unwrap(), now, now);
            // The captured packet first, which is none of ours; then the answer.
            let Err(rejected) = pending.accept(bytes, server, now, now) else { panic!("taken") };
            let ntp_proto::Rejected::Ignored { pending, .. } = rejected else { panic!("ended") };
            answer[39] |= 1;
            answer[47] |= 3;
            let reply = pending.accept(&answer, server, now, now).unwrap();
            black_box(reply.exchange.root_distance(Precision::default()));
        }
    });
    assert_eq!(count, 0);
}

/// All three readers, and all that was read written again.
fn read(bytes: &[u8], buffer: &mut [u8]) {
    if let Ok(reader) = Reader::new(bytes) {
        black_box(reader.header());
        black_box(reader.filter(Result::is_ok).count());
    }
    for packet in [Packet::parse(bytes), Packet::parse_lenient(bytes)] {
        match packet {
            Ok(packet) => {
                black_box((packet.header(), packet.mac(), packet.is_crypto_nak(), packet.kiss()));
                black_box(packet.extension(ExtensionType::NTS_AUTHENTICATOR));
                black_box(packet.emit(buffer).unwrap());
            }
            Err(error) => {
                black_box(error);
            }
        }
    }
    let Ok(packet) = Packet::parse(bytes) else { return };
    let mut writer = PacketWriter::new(buffer, &packet.header()).unwrap();
    for field in packet.extensions() {
        writer = writer.field(field.kind, field.value).unwrap();
    }
    let written = match packet.mac() {
        Some(mac) => writer.mac(mac.key_id, mac.digest),
        None => writer.finish(),
    };
    black_box(written.unwrap());
}
