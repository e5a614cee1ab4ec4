//! The gateway as a user runs it: the bundled scenario byte for byte, bad input, live ports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::folder::Folder;
use testkit::frames::assert_frames_eq;
use testkit::netns::{self, Namespace};
use testkit::packets::Packet;
use testkit::process::Guarded;
use testkit::reference::{BRIDGE, Reference};
use testkit::{patience, pcap};

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway/scenario");
/// Long enough for anything that comes at all.
const SOON: Duration = Duration::from_secs(10);
const PORTS: [&str; 5] = ["lan", "uplink", "tenant", "carrier", "monitor"];

/// The program; `cargo test` builds examples beside the tests.
fn program() -> Result<PathBuf> {
    let tests = std::env::current_exe()?;
    let target = tests.parent().and_then(Path::parent).context("no target folder")?;
    let program = target.join("examples/gateway");
    ensure!(program.exists(), "{}: not built", program.display());
    Ok(program)
}

fn gateway(args: &[&str]) -> Result<Output> {
    Ok(Command::new(program()?).args(args).output()?)
}

/// Runs it, expecting success; what it wrote to its standard output.
fn run(args: &[&str]) -> Result<String> {
    let output = gateway(args)?;
    ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// What left by each port.
type Sent = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// What each port of the bundled scenario sends when the capture is replayed once.
fn bundled() -> Result<(Sent, String)> {
    let folder = Folder::new("gateway")?;
    let out = folder.path().to_string_lossy().into_owned();
    let report = run(&["--repeat", "1", "--out", &out, "--malformed", "forward"])?;
    let mut sent = Sent::new();
    for port in PORTS {
        let frames = pcap::read(folder.join(format!("{port}.pcap")))?;
        sent.insert(port, frames.into_iter().map(|record| record.frame).collect());
    }
    Ok((sent, report))
}

#[test]
fn the_bundled_scenario_forwards_as_the_reference_does_byte_for_byte() -> Result<()> {
    testkit::packages::ensure(&["openvswitch-switch", "openvswitch-common"])?;
    let reference = Reference::start()?;
    for (port, number) in PORTS.iter().zip(1..) {
        reference.add_dummy_port(port, number)?;
        // Double-tagged frames of full size are above what is sent by default.
        reference.vsctl(&["set", "Interface", port, "mtu_request=2000"])?;
    }
    let flows = std::fs::read_to_string(format!("{SCENARIO}/gateway.flows"))?;
    let lines = flows.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    // One flow is said in the language of OpenFlow 1.3, the others in that of 1.0.
    let (new, old): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.contains("set_field"));
    for (protocol, lines) in [("OpenFlow10", old), ("OpenFlow13", new)] {
        let path = reference.folder().join(protocol);
        std::fs::write(&path, lines.join("\n"))?;
        reference.ofctl(&["-O", protocol, "add-flows", BRIDGE, &path.to_string_lossy()])?;
    }
    let frames: Vec<String> = pcap::read(Path::new(SCENARIO).join("mixed.pcap"))?
        .into_iter()
        .map(|record| record.frame.iter().map(|octet| format!("{octet:02x}")).collect())
        .collect();
    for some in frames.chunks(20) {
        let mut words = vec!["netdev-dummy/receive", PORTS[0]];
        words.extend(some.iter().map(String::as_str));
        reference.appctl(&words)?;
    }
    let (ours, _) = bundled()?;
    let mut total = 0;
    for port in PORTS {
        // Flows may overtake each other inside a burst; the reference was given one packet at a
        // time.
        let sorted = |mut frames: Vec<Vec<u8>>| {
            frames.sort();
            frames
        };
        let theirs = sorted(reference.sent(port)?);
        total += theirs.len();
        assert_frames_eq(&theirs, &sorted(ours[port].clone()));
    }
    ensure!(total > 2500, "only {total} frames left the switches");
    Ok(())
}

#[test]
fn every_packet_is_in_the_tables_at_the_end() -> Result<()> {
    let (sent, report) = bundled()?;
    let row = |name: &str| -> Result<Vec<u64>> {
        let line = report.lines().find(|line| line.split_whitespace().any(|word| word == name));
        let line = line.with_context(|| format!("{name} is not in\n{report}"))?;
        Ok(line.split_whitespace().filter_map(|word| word.parse().ok()).collect())
    };
    ensure!(row("lan")?[1] == 2942, "{report}");
    for port in &PORTS[1..] {
        let packets = sent[port].len() as u64;
        let octets: usize = sent[port].iter().map(Vec::len).sum();
        ensure!(row(port)?[4..6] == [packets, octets as u64], "{port}: {packets}\n{report}");
    }
    ensure!(report.contains("drop_action_of_pipeline"), "{report}");
    let tiers: u64 = ["cache", "table", "(upcall)"]
        .iter()
        .map(|tier| row(tier).map(|numbers| numbers[0]))
        .sum::<Result<u64>>()?;
    ensure!(tiers == 2942, "{tiers} packets found their actions\n{report}");
    Ok(())
}

#[test]
fn progress_is_told_in_plain_lines_where_there_is_no_terminal() -> Result<()> {
    let output = gateway(&["--seconds", "1.3"])?;
    let told = String::from_utf8(output.stderr)?;
    let lines = told.lines().filter(|line| line.contains("Mpps") && line.contains("cache")).count();
    ensure!(output.status.success() && lines >= 2, "{told}");
    ensure!(!told.contains('\x1b') && !told.contains('\r'), "{told:?}");
    Ok(())
}

#[test]
fn bad_input_is_told_clearly_and_fails() -> Result<()> {
    let folder = Folder::new("gateway")?;
    let flows = |text: &str| -> Result<String> {
        let path = folder.join("bad.flows");
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let cases: &[(&[&str], Option<&str>, &[&str])] = &[
        (&["--port", "nosuch0"], None, &["nosuch0", "no such network interface"]),
        (&["--port", "pcap:/no/such.pcap"], None, &["/no/such.pcap", "No such file"]),
        (&["--port", "sink:a,colour=red"], None, &["colour"]),
        (&["--port", "veth0,tag=5000"], None, &["tag=5000", "0 to 4095"]),
        (&["--port", "sink:a", "--port", "sink:b,ofport=1"], None, &["same OpenFlow number"]),
        (&["--port", "sink:a", "--flows", "/no/such.flows"], None, &["/no/such.flows"]),
        (
            &["--port", "sink:a"],
            Some("colour=red,actions=drop\n"),
            &["bad.flows", "line 1", "`colour`"],
        ),
        (&["--port", "sink:a"], Some("\nudp,tp_dst=x,actions=1\n"), &["line 2", "`x`", "expected"]),
        (&["--port", "sink:a"], Some("tp_dst=80,actions=1\n"), &["line 1", "tp_dst"]),
        (&["--port", "sink:a"], Some("actions=output:nowhere\n"), &["line 1", "nowhere"]),
        (&["--port", "sink:a"], Some("actions=teleport\n"), &["teleport"]),
        (&["--seconds=-1"], None, &["--seconds"]),
    ];
    for (args, text, expected) in cases {
        let mut args: Vec<String> = args.iter().map(ToString::to_string).collect();
        if let Some(text) = text {
            args.extend(["--flows".to_owned(), flows(text)?]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = gateway(&args)?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success(), "{args:?} succeeded");
        ensure!(!told.contains("panicked"), "{args:?}: {told}");
        for word in *expected {
            ensure!(told.contains(word), "{args:?}: {word} is not in {told}");
        }
    }
    Ok(())
}

#[test]
fn a_truncated_capture_is_forwarded_up_to_the_tear_and_fails() -> Result<()> {
    let folder = Folder::new("gateway")?;
    let whole = std::fs::read(Path::new(SCENARIO).join("mixed.pcap"))?;
    let cut = folder.join("cut.pcap");
    std::fs::write(&cut, &whole[..20_000])?;
    let out = folder.join("out.pcap");
    let ports = [format!("pcap:{}", cut.display()), format!("pcap:,tx={}", out.display())];
    let output = gateway(&["--port", &ports[0], "--port", &ports[1]])?;
    let told = String::from_utf8(output.stderr)?;
    ensure!(!output.status.success() && told.contains("cut.pcap"), "{told}");
    ensure!(told.contains("record"), "{told}");
    // What was written is whole.
    ensure!(pcap::read(&out)?.len() > 50);
    Ok(())
}

/// Two hosts, each behind one port of the gateway, which stands in a namespace of its own.
struct Wire {
    hosts: [Namespace; 2],
    middle: Namespace,
}

impl Wire {
    fn new() -> Result<Self> {
        let packages = ["iproute2", "iputils-ping", "iperf3", "ethtool"];
        testkit::packages::ensure(&packages)?;
        let hosts = [Namespace::new("a")?, Namespace::new("b")?];
        let middle = Namespace::new("gw")?;
        for (host, n) in hosts.iter().zip(1..) {
            netns::veth_pair((host, "eth0"), (&middle, &format!("port{n}")))?;
            host.address("eth0", &format!("10.0.0.{n}/24"))?;
            host.address("eth0", &format!("fd00::{n}/64"))?;
        }
        Ok(Self { hosts, middle })
    }

    fn gateway(&self, args: &[&str]) -> Result<Guarded> {
        let mut command = self.middle.command(&program()?.to_string_lossy());
        let child = Guarded::spawn(command.args(args))?;
        patience::eventually("the gateway forwards", SOON, || self.ping("10.0.0.2", 56).ok());
        Ok(child)
    }

    fn ping(&self, to: &str, size: u32) -> Result<()> {
        let size = size.to_string();
        self.hosts[0].exec(&["ping", "-c", "1", "-W", "1", "-s", &size, to])?;
        Ok(())
    }
}

#[test]
fn two_hosts_talk_through_it_and_a_lost_interface_is_survived() -> Result<()> {
    let wire = Wire::new()?;
    let _gateway = wire.gateway(&["--port", "port1", "--port", "port2"])?;
    for size in [1, 56, 1472, 1473, 4000, 8000] {
        wire.ping("10.0.0.2", size).with_context(|| format!("{size} octets"))?;
        wire.ping("fd00::2", size).with_context(|| format!("{size} octets, IPv6"))?;
    }
    for host in ["10.0.0.2", "fd00::2"] {
        for reverse in [&[][..], &["-R"]] {
            let server = wire.hosts[1].spawn(&["iperf3", "-s", "-1"])?;
            patience::eventually("iperf3 listens", SOON, || {
                wire.hosts[1].exec(&["sh", "-c", "ss -ltn | grep -q :5201"]).ok()
            });
            let words = [&["iperf3", "-c", host, "-t", "1", "-J"], reverse].concat();
            let told = wire.hosts[0].exec(&words)?;
            ensure!(told.contains("\"bits_per_second\""), "{told}");
            drop(server);
        }
    }
    wire.middle.ip(&["link", "del", "port2"])?;
    ensure!(wire.ping("10.0.0.2", 56).is_err(), "the other end is gone");
    Ok(())
}

#[test]
fn losing_an_interface_under_traffic_is_reported_and_the_rest_goes_on() -> Result<()> {
    let wire = Wire::new()?;
    let third = Namespace::new("c")?;
    netns::veth_pair((&third, "eth0"), (&wire.middle, "port3"))?;
    third.address("eth0", "10.0.0.3/24")?;
    let folder = Folder::new("gateway")?;
    let log = folder.join("log");
    let script = format!(
        "exec {} --port port1 --port port2 --port port3 --seconds 6 2>{}",
        program()?.display(),
        log.display()
    );
    let mut gateway = wire.middle.spawn(&["sh", "-c", &script])?;
    patience::eventually("the gateway forwards", SOON, || wire.ping("10.0.0.3", 56).ok());
    let flood = wire.hosts[0].spawn(&["ping", "-i", "0.01", "-W", "1", "-q", "10.0.0.2"])?;
    std::thread::sleep(Duration::from_millis(500));
    wire.middle.ip(&["link", "del", "port2"])?;
    patience::eventually("the loss is told", SOON, || {
        std::fs::read_to_string(&log).ok().filter(|log| log.contains("port2:"))
    });
    wire.ping("10.0.0.3", 56)?;
    drop(flood);
    ensure!(gateway.wait(SOON)?.success(), "{}", std::fs::read_to_string(&log)?);
    Ok(())
}

#[test]
fn access_ports_lose_tags_and_trunks_carry_them() -> Result<()> {
    let wire = Wire::new()?;
    let trunk = Namespace::new("trunk")?;
    netns::veth_pair((&trunk, "eth0"), (&wire.middle, "port3"))?;
    let ports =
        ["--port", "port1,tag=10", "--port", "port2,tag=10", "--port", "port3,trunks=10+20"];
    let _gateway = wire.gateway(&ports)?;
    let sockets = [&wire.hosts[0], &wire.hosts[1], &trunk].map(|host| host.frames("eth0"));
    let [access, _, tagged] = sockets.each_ref();
    let (access, tagged) = (access.as_ref().unwrap(), tagged.as_ref().unwrap());
    let frame = |vid: Option<u16>, body: &str| {
        let packet = Packet::ethernet("02:00:00:00:00:77", "ff:ff:ff:ff:ff:ff");
        let packet = vid.into_iter().fold(packet, Packet::vlan);
        packet.ipv4("10.0.0.9", "10.0.0.255").udp(9, 9).payload(body).build_padded()
    };
    let holds = |body: &'static str| {
        move |frame: &[u8]| frame.windows(body.len()).any(|part| part == body.as_bytes())
    };
    tagged.send(&frame(Some(10), "to the access port"))?;
    let got = access.receive_matching(SOON, holds("to the access port"))?;
    assert_frames_eq(&[frame(None, "to the access port")], &[got.context("nothing came")?]);
    access.send(&frame(None, "to the trunk"))?;
    let got = tagged.receive_matching(SOON, holds("to the trunk"))?.context("nothing came")?;
    ensure!(got[12..16] == [0x81, 0x00, 0x00, 0x0a], "{got:02x?}");
    // A VLAN that the access ports do not belong to, and one that the trunk does not carry.
    for vid in [20, 30] {
        tagged.send(&frame(Some(vid), "to nobody"))?;
    }
    let nothing = access.receive_matching(Duration::from_millis(500), holds("to nobody"))?;
    ensure!(nothing.is_none(), "{nothing:02x?}");
    Ok(())
}
