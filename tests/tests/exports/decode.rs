//! Datagrams as lines of text, for comparing.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

/// Reads big-endian numbers.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len).context("the datagram is too short")?;
        self.0 = rest;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8> {
        self.take(1)?.first().copied().context("a byte")
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn length(&mut self) -> Result<usize> {
        Ok(usize::try_from(self.u32()?)?)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A sample of sFlow: its kind, its head, its records by format.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) kind: u32,
    /// Behind the sequence number: source, and for packets rate, pool, drops, input, output.
    pub(crate) head: Vec<u32>,
    sequence: u32,
    pub(crate) records: Vec<(u32, Vec<u8>)>,
}

impl Sample {
    /// The words of a record.
    pub(crate) fn words(&self, format: u32) -> Option<Vec<u32>> {
        let (_, body) = self.records.iter().find(|(other, _)| *other == format)?;
        let word = |chunk: &[u8; 4]| u32::from_be_bytes(*chunk);
        Some(body.as_chunks().0.iter().map(word).collect())
    }
}

/// A datagram of sFlow.
pub(crate) struct Sflow {
    head: Vec<u8>,
    pub(crate) samples: Vec<Sample>,
}

impl Sflow {
    pub(crate) fn read(datagram: &[u8]) -> Result<Self> {
        let mut bytes = Bytes(datagram);
        let head = bytes.take(24)?.to_vec();
        ensure!(head.starts_with(&[0, 0, 0, 5, 0, 0, 0, 1]), "version 5, an agent over IPv4");
        let count = bytes.u32()?;
        let mut samples = Vec::new();
        for _ in 0..count {
            let kind = bytes.u32()?;
            let len = bytes.length()?;
            let mut sample = Bytes(bytes.take(len)?);
            let sequence = sample.u32()?;
            let words = if kind == 1 { 6 } else { 1 };
            let head = (0..words).map(|_| sample.u32()).collect::<Result<_>>()?;
            let records = sample.u32()?;
            let records = (0..records)
                .map(|_| {
                    let format = sample.u32()?;
                    let len = sample.length()?;
                    Ok((format, sample.take(len)?.to_vec()))
                })
                .collect::<Result<_>>()?;
            ensure!(sample.0.is_empty(), "a sample is as long as it says");
            samples.push(Sample { kind, head, sequence, records });
        }
        ensure!(bytes.0.is_empty(), "a datagram is as long as it says");
        Ok(Self { head, samples })
    }

    /// The same without records of these formats.
    pub(crate) fn without(&self, formats: &[u32]) -> Vec<u8> {
        let words =
            |words: &[u32]| words.iter().flat_map(|it| it.to_be_bytes()).collect::<Vec<u8>>();
        let count = |len: usize| u32::try_from(len).unwrap_or(0);
        let mut out = self.head.clone();
        out.extend(words(&[count(self.samples.len())]));
        for sample in &self.samples {
            let kept: Vec<_> =
                sample.records.iter().filter(|(format, _)| !formats.contains(format)).collect();
            let mut body = words(&[sample.sequence]);
            body.extend(words(&sample.head));
            body.extend(words(&[count(kept.len())]));
            for (format, bytes) in kept {
                body.extend(words(&[*format, count(bytes.len())]));
                body.extend(bytes);
            }
            out.extend(words(&[sample.kind, count(body.len())]));
            out.extend(body);
        }
        out
    }
}

/// The records of NetFlow, without times: as text, sorted.
pub(crate) fn netflow(datagrams: &[Vec<u8>]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for datagram in datagrams {
        let mut bytes = Bytes(datagram);
        ensure!(bytes.u16()? == 5, "version 5");
        let count = bytes.u16()?;
        bytes.take(16)?;
        let engine = hex(bytes.take(4)?);
        for _ in 0..count {
            let who = hex(bytes.take(24)?);
            bytes.take(8)?;
            lines.push(format!("{engine} {who} {}", hex(bytes.take(16)?)));
        }
        ensure!(bytes.0.is_empty(), "as long as its records");
    }
    lines.sort();
    Ok(lines)
}

/// Numbers and lengths of the elements of a template.
type Template = Vec<(u32, u16)>;

/// The data records of IPFIX messages, with their elements by number; enterprise elements have their
/// number plus 100,000. Templates may come in any message before.
pub(crate) fn ipfix(messages: &[Vec<u8>]) -> Result<Vec<Vec<(u32, String)>>> {
    let mut templates = BTreeMap::<(u32, u16), Template>::new();
    let mut records = Vec::new();
    for message in messages {
        let mut bytes = Bytes(message);
        ensure!(bytes.u16()? == 10, "version 10");
        ensure!(usize::from(bytes.u16()?) == message.len(), "as long as it says");
        bytes.take(8)?;
        let domain = bytes.u32()?;
        while !bytes.0.is_empty() {
            let set = bytes.u16()?;
            let len = usize::from(bytes.u16()?);
            let mut body = Bytes(bytes.take(len.checked_sub(4).context("a set's length")?)?);
            match set {
                2 | 3 => learn(&mut body, set == 3, domain, &mut templates)?,
                _ => {
                    let Some(template) = templates.get(&(domain, set)) else { continue };
                    while !body.0.is_empty() {
                        let mut record = vec![(0, set.to_string())];
                        for &(number, len) in template {
                            let len = match len {
                                u16::MAX => usize::from(body.u8()?),
                                len => usize::from(len),
                            };
                            record.push((number, hex(body.take(len)?)));
                        }
                        records.push(record);
                    }
                }
            }
        }
    }
    Ok(records)
}

fn learn(
    body: &mut Bytes<'_>,
    options: bool,
    domain: u32,
    templates: &mut BTreeMap<(u32, u16), Template>,
) -> Result<()> {
    while !body.0.is_empty() {
        let number = body.u16()?;
        let count = body.u16()?;
        if options {
            body.u16()?;
        }
        let mut template = Template::new();
        for _ in 0..count {
            let element = body.u16()?;
            let len = body.u16()?;
            let element = match element {
                0x8000.. => {
                    ensure!(body.u32()? == 6876, "the enterprise");
                    u32::from(element & 0x7fff) + 100_000
                }
                _ => element.into(),
            };
            template.push((element, len));
        }
        templates.insert((domain, number), template);
    }
    Ok(())
}
