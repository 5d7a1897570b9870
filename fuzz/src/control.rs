//! Mode 6: messages, the fragments of an answer against a plain map of octets, variables against what is written of them.

use ntp_proto::control::{
    emit, Assembly, AssemblyError, ControlHeader, ControlPacket, Opcode, Variable, Variables, MAX_SPANS,
};

/// Reads `data` as a control message, as a script of fragments and as a list of variables.
pub fn control(data: &[u8]) {
    packet(data);
    fragments(data);
    variables(data);
}

fn packet(data: &[u8]) {
    let packet = match ControlPacket::parse(data) {
        Ok(packet) => packet,
        Err(error) => return assert!(error.needed > error.had && error.offset <= data.len(), "{error}"),
    };
    let header = packet.header();
    assert_eq!(ControlHeader::from_bytes(&header.to_bytes()), *header);
    assert_eq!(usize::from(header.count), packet.data().len());
    let covered = 12 + packet.data().len() + packet.padding().len();
    assert_eq!(packet.authenticated(), &data[..covered]);
    match packet.authenticator() {
        Some(authenticator) => {
            assert_eq!(covered % 8, 0);
            assert!(packet.padding().len() < 8 && [16, 20].contains(&authenticator.digest.len()));
            assert_eq!(covered + 4 + authenticator.digest.len(), data.len());
        }
        None => assert_eq!(covered, data.len()),
    }
    assert_eq!(header.error().is_some(), header.is_error);
}

/// The answer as a plain map of octets.
struct Model {
    octets: Vec<Option<u8>>,
    total: Option<usize>,
}

impl Model {
    fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.octets[..total].iter().all(Option::is_some))
    }

    fn end(&self) -> usize {
        self.octets.iter().rposition(Option::is_some).map_or(0, |last| last + 1)
    }
}

/// Octet 0 is the memory's size in units of four octets; then offset, length and flags of a fragment and its data.
fn fragments(script: &[u8]) {
    let Some((&capacity, mut script)) = script.split_first() else { return };
    let request = ControlHeader::request(Opcode::ReadVariables, 1, 0);
    let mut memory = vec![0; usize::from(capacity) * 4];
    let mut model = Model { octets: vec![None; memory.len()], total: None };
    let mut answer = Assembly::new(&request, &mut memory);
    while let Some((&[offset, length, flags], rest)) = script.split_first_chunk() {
        let (data, rest) = rest.split_at(usize::from(length).min(rest.len()));
        script = rest;
        let offset = u16::from(offset) + 256 * u16::from(flags >> 6);
        let header = ControlHeader {
            is_response: true,
            has_more: flags & 1 != 0,
            is_error: flags & 6 == 6,
            sequence: if flags & 0x38 == 0x38 { 2 } else { 1 },
            offset,
            ..request
        };
        let mut bytes = [0; 300];
        let length = emit(&header, data, &mut bytes).expect("it fits");
        let fragment = ControlPacket::parse(&bytes[..length]).expect("written, so read");
        assert_eq!(fragment.data(), data);
        step(&mut answer, &mut model, &fragment);
    }
}

fn step(answer: &mut Assembly<'_>, model: &mut Model, fragment: &ControlPacket<'_>) {
    let header = fragment.header();
    let start = usize::from(header.offset);
    let end = start + fragment.data().len();
    match answer.handle(fragment) {
        Ok(is_complete) => {
            assert!(!header.is_error && header.sequence == 1);
            for (at, &octet) in (start..end).zip(fragment.data()) {
                assert!(model.octets[at].is_none_or(|held| held == octet), "an octet changed");
                model.octets[at] = Some(octet);
            }
            if !header.has_more {
                assert!(model.total.is_none_or(|total| total == end), "two ends");
                model.total = Some(end);
            }
            assert!(model.total.is_none_or(|total| model.end() <= total), "octets beyond the end");
            assert_eq!(is_complete, model.is_complete());
        }
        Err(AssemblyError::Unrelated { .. }) => assert_eq!(header.sequence, 2),
        Err(AssemblyError::Refused(_)) => assert!(header.is_error),
        Err(AssemblyError::Memory { needed, had }) => {
            assert_eq!((needed, had), (end, model.octets.len()));
            assert!(needed > had);
        }
        Err(AssemblyError::TooScattered) => {
            let stretches = model.octets.split(Option::is_none).filter(|stretch| !stretch.is_empty()).count();
            assert_eq!(stretches, MAX_SPANS);
        }
        Err(AssemblyError::Conflict { offset }) => {
            assert_ne!(model.octets[offset], Some(fragment.data()[offset - start]));
            assert!(model.octets[offset].is_some());
        }
        Err(AssemblyError::Length { end: last, total }) => {
            assert!(last > total);
            assert!(model.total.is_some() || !header.has_more);
        }
        Err(error) => panic!("unknown error {error}"),
    }
    // Whatever came: what is held is what the map holds.
    assert_eq!(answer.is_complete(), model.is_complete());
    let whole = model.total.filter(|_| model.is_complete());
    let whole: Option<Vec<u8>> = whole.map(|total| model.octets[..total].iter().map(|octet| octet.unwrap()).collect());
    assert_eq!(answer.data(), whole.as_deref());
}

fn variables(text: &[u8]) {
    let read: Vec<_> = Variables::new(text).collect();
    let good: Vec<Variable<'_>> = read.iter().map_while(|result| result.ok()).collect();
    assert!(read.len() <= good.len() + 1, "reading went on after an error");
    // Names and values are stretches of the text, one after the other.
    let place = |part: &[u8]| part.as_ptr() as usize - text.as_ptr() as usize;
    let mut position = 0;
    for variable in &good {
        assert!(!variable.name.is_empty());
        for part in [Some(variable.name), variable.value].into_iter().flatten() {
            assert!(part.is_empty() || place(part) >= position, "out of order");
            position = if part.is_empty() { position } else { place(part) + part.len() };
        }
        assert!(!variable.is_quoted || variable.value.is_some());
    }
    assert!(position <= text.len());
    // Written again and read again they are the same.
    let mut written = Vec::new();
    for variable in &good {
        written.extend_from_slice(variable.name);
        if let Some(value) = variable.value {
            let quote: &[u8] = if variable.is_quoted { b"\"" } else { b"" };
            written.extend([b"=", quote, value, quote].concat());
        }
        written.extend_from_slice(b", ");
    }
    let again: Vec<_> = Variables::new(&written).map(|result| result.expect("written, so read")).collect();
    assert_eq!(again, good);
}
