//! Two gateway nodes between namespaces: pods behind each, the outside before one of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::folder::Folder;
use testkit::netns::{FrameSocket, Namespace, veth_pair};
use testkit::patience;
use testkit::process::Guarded;
use testkit::reference::{BRIDGE, Setup};

/// Long enough for anything that comes at all.
const SOON: Duration = Duration::from_secs(10);

const NODE_A: &str = "\
underlay eth0 192.168.7.1/24 02:00:00:00:07:01
router 10.16.1.1 02:00:00:00:16:01
peer 192.168.7.2 10.16.2.0/24
pod pod1 10.16.1.11 02:00:00:00:16:11
pod pod2 10.16.1.12 02:00:00:00:16:12
pod pod3 10.16.1.13 02:00:00:00:16:13 waits
uplink out0 192.0.2.10/24 02:00:00:00:99:10 192.0.2.1
uplink out1 198.51.100.10/24 02:00:00:00:98:10 198.51.100.1
default out0
default out1
source 10.16.1.12/32 out1
service 192.0.2.80:80 10.16.1.11:8080 10.16.2.11:8080
dns 169.254.20.10 dns0 02:00:00:00:16:53
";

const NODE_B: &str = "\
underlay eth0 192.168.7.2/24 02:00:00:00:07:02
router 10.16.2.1 02:00:00:00:26:01
peer 192.168.7.1 10.16.1.0/24
pod pod1 10.16.2.11 02:00:00:00:26:11
";

/// What either node is over IPv6 as well.
const SIX_A: &str = "\
router fd10:16:1::1 02:00:00:00:16:01
peer 192.168.7.2 fd10:16:2::/64
pod pod1 fd10:16:1::11 02:00:00:00:16:11
pod pod2 fd10:16:1::12 02:00:00:00:16:12
pod pod3 fd10:16:1::13 02:00:00:00:16:13 waits
uplink out0 2001:db8::10/64 02:00:00:00:99:10 2001:db8::1
uplink out1 2001:db8:1::10/64 02:00:00:00:98:10 2001:db8:1::1
source fd10:16:1::12/128 out1
service [2001:db8::80]:80 [fd10:16:1::11]:8080 [fd10:16:2::11]:8080
dns fd53::10 dns0 02:00:00:00:16:53
";

const SIX_B: &str = "\
router fd10:16:2::1 02:00:00:00:26:01
peer 192.168.7.1 fd10:16:1::/64
pod pod1 fd10:16:2::11 02:00:00:00:26:11
";

/// The program; `cargo test` builds examples beside the tests.
fn program() -> Result<PathBuf> {
    let tests = std::env::current_exe()?;
    let target = tests.parent().and_then(Path::parent).context("no target folder")?;
    let program = target.join("examples/gateway");
    ensure!(program.exists(), "{}: not built", program.display());
    Ok(program)
}

struct World {
    nodes: Vec<Guarded>,
    a: Namespace,
    b: Namespace,
    pods: Vec<Namespace>,
    far: Namespace,
    outside: Namespace,
    carrier: Namespace,
    dns: Namespace,
    /// Who watches the node's uplink with it.
    watch: Namespace,
    /// What is heard outside from before the nodes start.
    heard: FrameSocket,
    folder: Folder,
}

/// A pod behind a node's interface.
fn pod(node: &Namespace, interface: &str, address: &str, mac: &str) -> Result<Namespace> {
    let pod = Namespace::quiet("gn-pod")?;
    veth_pair((node, interface), (&pod, "eth0"))?;
    pod.mac("eth0", mac)?;
    pod.address("eth0", &format!("{address}/24"))?;
    // Room for the tunnel's headers.
    pod.ip(&["link", "set", "eth0", "mtu", "1400"])?;
    let (network, _) = address.rsplit_once('.').context("an IPv4 address")?;
    pod.ip(&["route", "add", "default", "via", &format!("{network}.1")])?;
    Ok(pod)
}

/// A router of the outside, which is 203.0.113.9 as well.
fn router(node: &Namespace, interface: &str, address: &str) -> Result<Namespace> {
    let router = Namespace::quiet("gn-out")?;
    veth_pair((node, interface), (&router, "eth0"))?;
    router.address("eth0", address)?;
    router.address("lo", "203.0.113.9/32")?;
    Ok(router)
}

impl World {
    fn new() -> Result<Self> {
        Self::build()?.start(NODE_A, NODE_B)
    }

    /// Everything but the nodes.
    fn build() -> Result<Self> {
        let (a, b) = (Namespace::quiet("gn-a")?, Namespace::quiet("gn-b")?);
        veth_pair((&a, "eth0"), (&b, "eth0"))?;
        let pods = (1..=3).map(|n| {
            pod(&a, &format!("pod{n}"), &format!("10.16.1.1{n}"), &format!("02:00:00:00:16:1{n}"))
        });
        let pods = pods.collect::<Result<Vec<_>>>()?;
        let far = pod(&b, "pod1", "10.16.2.11", "02:00:00:00:26:11")?;
        let outside = router(&a, "out0", "192.0.2.1/24")?;
        let carrier = router(&a, "out1", "198.51.100.1/24")?;
        let dns = Namespace::quiet("gn-dns")?;
        veth_pair((&a, "dns0"), (&dns, "eth0"))?;
        dns.mac("eth0", "02:00:00:00:16:53")?;
        dns.address("eth0", "169.254.20.10/16")?;
        dns.ip(&["route", "add", "default", "dev", "eth0"])?;
        for n in 1..=3 {
            let pod = format!("10.16.1.1{n}");
            dns.ip(&["neigh", "add", &pod, "lladdr", "02:00:00:00:16:01", "dev", "eth0"])?;
        }
        let watch = Namespace::quiet("gn-bfd")?;
        veth_pair((&a, "bfd0"), (&watch, "eth0"))?;
        let heard = outside.frames("eth0")?;
        let (nodes, folder) = (Vec::new(), Folder::new("node")?);
        Ok(Self { nodes, a, b, pods, far, outside, carrier, dns, watch, heard, folder })
    }

    /// Starts the nodes, each with its plan.
    fn start(mut self, plan_a: &str, plan_b: &str) -> Result<Self> {
        for (name, namespace, plan) in [("a", &self.a, plan_a), ("b", &self.b, plan_b)] {
            let file = self.folder.join(format!("{name}.node"));
            std::fs::write(&file, plan)?;
            let log = std::fs::File::create(self.folder.join(format!("{name}.log")))?;
            let mut command = namespace.command(&program()?.to_string_lossy());
            command.arg("--node").arg(&file).stderr(log.try_clone()?).stdout(log);
            self.nodes.push(Guarded::spawn(&mut command)?);
        }
        for name in ["a", "b"] {
            self.says(name, "ready")?;
        }
        Ok(self)
    }

    /// Waits until a node has said something.
    fn says(&self, node: &str, text: &str) -> Result<()> {
        patience::wait(2 * SOON, || self.log(node).contains(text).then_some(()))
            .with_context(|| format!("node {node}, {text}: {}", self.logs()))
    }

    /// The first pod asks the name server from an address, and gets its answer.
    fn asks_its_name_server(&self, pod: &str, name_server: &str) -> Result<()> {
        let [from, to]: [SocketAddr; 2] = [pod.parse()?, name_server.parse()?];
        let server = self.dns.within(|| UdpSocket::bind(to))??;
        server.set_read_timeout(Some(SOON))?;
        let client = self.pods[0].within(|| UdpSocket::bind(from))??;
        client.set_read_timeout(Some(SOON))?;
        client.send_to(b"who is it?", to)?;
        let mut buffer = [0; 64];
        let (len, asker) =
            server.recv_from(&mut buffer).with_context(|| format!("asking\n{}", self.logs()))?;
        ensure!(asker == from, "{asker} asked");
        server.send_to(buffer.get(..len).unwrap_or_default(), asker)?;
        let (len, answerer) =
            client.recv_from(&mut buffer).with_context(|| format!("answering\n{}", self.logs()))?;
        ensure!((len, answerer) == (10, to), "{len} bytes of {answerer}");
        Ok(())
    }

    fn log(&self, node: &str) -> String {
        std::fs::read_to_string(self.folder.join(format!("{node}.log"))).unwrap_or_default()
    }

    fn logs(&self) -> String {
        format!("a:\n{}\nb:\n{}", self.log("a"), self.log("b"))
    }

    /// Ends the first node; what it says of itself.
    fn end(mut self) -> Result<String> {
        let mut node = self.nodes.remove(0);
        node.terminate(SOON)?;
        Ok(self.log("a"))
    }
}

/// Who a server at `address` in a namespace saw, and what the client got: the server answers with its
/// name, after `payload` bytes have come.
fn visit(from: &Namespace, to: &str, server: &Server) -> Result<(String, String)> {
    let address: SocketAddr = to.parse()?;
    let payload = vec![7_u8; 100_000];
    let mut stream = from.within(|| TcpStream::connect_timeout(&address, SOON))??;
    stream.set_read_timeout(Some(SOON))?;
    stream.set_write_timeout(Some(SOON))?;
    stream.write_all(&payload)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let seen = server.seen.recv_timeout(SOON)?;
    Ok((seen, answer))
}

/// A server that says its name to each visitor, and tells who that was.
struct Server {
    seen: std::sync::mpsc::Receiver<String>,
}

fn serve(namespace: &Namespace, address: &str, name: &'static str) -> Result<Server> {
    let address: SocketAddr = address.parse()?;
    let listener = namespace.within(|| TcpListener::bind(address))??;
    let (sender, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((mut stream, client)) = listener.accept() {
            let mut all = Vec::new();
            let whole = stream.read_to_end(&mut all).is_ok_and(|len| len == 100_000);
            let answer = if whole { name } else { "cut short" };
            let _ = stream.write_all(answer.as_bytes());
            if sender.send(client.ip().to_string()).is_err() {
                break;
            }
        }
    });
    Ok(Server { seen })
}

fn ping(from: &Namespace, to: &str) -> Result<String> {
    Ok(from.exec(&["ping", "-c", "2", "-i", "0.2", "-W", "2", to])?)
}

/// Pings until an answer comes: next hops are being asked for at first.
fn reaches(from: &Namespace, to: &str) -> Result<()> {
    patience::wait(SOON, || ping(from, to).ok()).map(drop).with_context(|| format!("{to}: silent"))
}

#[test]
fn pods_reach_each_other_the_outside_and_their_name_server() -> Result<()> {
    let world = World::new()?;
    let [pod1, pod2, _] = &world.pods[..] else { unreachable!("there are three") };
    // One node, then two with Geneve between.
    reaches(pod1, "10.16.1.12").with_context(|| world.logs())?;
    let wire = world.a.frames("eth0")?;
    reaches(pod1, "10.16.2.11").with_context(|| world.logs())?;
    let geneve = |frame: &[u8]| {
        frame.get(12..14) == Some(&[8, 0]) && frame.get(36..38) == Some(&[0x17, 0xc1])
    };
    let seen = wire.receive_matching(SOON, |frame| geneve(frame))?;
    let seen = seen.context("nothing in a tunnel was seen")?;
    assert_eq!(seen.get(26..30), Some(&[192, 168, 7, 2][..]), "from the peer");
    assert_eq!(seen.get(46..49), Some(&[0, 0, 7][..]), "the tunnels' key");
    let server = serve(&world.far, "10.16.2.11:7000", "far")?;
    let (client, answer) = visit(pod1, "10.16.2.11:7000", &server).with_context(|| world.logs())?;
    assert_eq!((client.as_str(), answer.as_str()), ("10.16.1.11", "far"));

    // Out by the default way, and by a tenant's own; each with the address of its uplink.
    for (pod, outside, expected) in
        [(pod1, &world.outside, "192.0.2.10"), (pod2, &world.carrier, "198.51.100.10")]
    {
        reaches(pod, "203.0.113.9").with_context(|| world.logs())?;
        let server = serve(outside, "203.0.113.9:7000", "outside")?;
        let (client, answer) = visit(pod, "203.0.113.9:7000", &server)
            .with_context(|| format!("{expected}\n{}", world.logs()))?;
        assert_eq!((client.as_str(), answer.as_str()), (expected, "outside"));
    }

    // Without its default way out, the next one is taken.
    world.a.ip(&["link", "set", "out0", "down"])?;
    world.says("a", "out0: link down")?;
    let server = serve(&world.carrier, "203.0.113.9:7001", "carrier")?;
    let (client, answer) =
        visit(pod1, "203.0.113.9:7001", &server).with_context(|| world.logs())?;
    assert_eq!((client.as_str(), answer.as_str()), ("198.51.100.10", "carrier"));

    // The name server answers, and nobody has tracked that.
    world.asks_its_name_server("10.16.1.11:5353", "169.254.20.10:53")?;
    let report = world.end()?;
    assert!(report.contains("node-local DNS: 2 packets not tracked"), "{report}");
    Ok(())
}

#[test]
fn a_service_goes_to_the_near_backend_while_it_is_there_and_to_the_far_one_then() -> Result<()> {
    let world = World::new()?;
    let near = serve(&world.pods[0], "10.16.1.11:8080", "near")?;
    let far = serve(&world.far, "10.16.2.11:8080", "far")?;
    reaches(&world.outside, "192.0.2.10").err().context("the node answers no ping")?;
    for _ in 0..3 {
        let (client, answer) =
            visit(&world.outside, "192.0.2.80:80", &near).with_context(|| world.logs())?;
        assert_eq!((client.as_str(), answer.as_str()), ("192.0.2.1", "near"));
    }
    // A pod is a client as any other.
    let (_, answer) =
        visit(&world.pods[1], "192.0.2.80:80", &near).with_context(|| world.logs())?;
    assert_eq!(answer, "near");
    world.a.ip(&["link", "set", "pod1", "down"])?;
    world.says("a", "pod1: link down")?;
    // The far backend sees this node, so that its answers come back through it.
    let (client, answer) =
        visit(&world.outside, "192.0.2.80:80", &far).with_context(|| world.logs())?;
    assert_eq!((client.as_str(), answer.as_str()), ("10.16.1.1", "far"));
    Ok(())
}

/// An ARP question from the outside.
fn question(target: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0x99, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([2, 0, 0, 0, 0x99, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
    frame.extend(target);
    frame
}

#[test]
fn a_bound_pod_wakes_by_its_rarp_and_the_outside_does_not_learn_of_inner_routers() -> Result<()> {
    let world = World::new()?;
    // The uplink has told its network of itself and of the service.
    for address in [[192, 0, 2, 10], [192, 0, 2, 80]] {
        let gratuitous = |frame: &[u8]| {
            frame.get(12..14) == Some(&[8, 6])
                && frame.get(28..32) == Some(&address[..])
                && frame.get(38..42) == Some(&address[..])
        };
        let told = world.heard.receive_matching(SOON, gratuitous)?.context("nothing was told")?;
        assert_eq!(told.get(22..28), Some(&[2, 0, 0, 0, 0x99, 0x10][..]));
    }
    let outside = world.outside.frames("eth0")?;
    let answer_for = |target: [u8; 4], limit: Duration| -> Result<Option<Vec<u8>>> {
        outside.send(&question(target))?;
        Ok(outside.receive_matching(limit, |frame| {
            frame.get(20..22) == Some(&[0, 2]) && frame.get(28..32) == Some(&target[..])
        })?)
    };
    let answer = answer_for([192, 0, 2, 80], SOON)?.context("the service is here")?;
    assert_eq!(answer.get(22..28), Some(&[2, 0, 0, 0, 0x99, 0x10][..]));
    assert!(answer_for([10, 16, 1, 1], Duration::from_millis(500))?.is_none());

    let owner = &world.pods[2];
    assert!(owner.exec(&["ping", "-c", "1", "-W", "1", "10.16.1.11"]).is_err(), "it is blocked");
    let mac = [2, 0, 0, 0, 0x16, 0x13];
    let mut rarp = vec![0xff; 6];
    rarp.extend(mac);
    rarp.extend([0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3]);
    rarp.extend(mac);
    rarp.extend([0; 4]);
    rarp.extend(mac);
    rarp.extend([0; 4]);
    owner.frames("eth0")?.send(&rarp)?;
    reaches(owner, "10.16.1.11").with_context(|| world.logs())?;
    let report = world.end()?;
    assert!(report.contains("port 3 is active"), "{report}");
    assert!(report.contains("1 questions and connections refused"), "{report}");
    Ok(())
}

/// Gives namespaces of a world IPv6, each with its addresses.
fn sixes(world: &World) -> Result<()> {
    for (pod, n) in world.pods.iter().zip(1..) {
        six(pod, &format!("fd10:16:1::1{n}/64"), Some("fd10:16:1::1"))?;
    }
    six(&world.far, "fd10:16:2::11/64", Some("fd10:16:2::1"))?;
    for (outside, address) in
        [(&world.outside, "2001:db8::1/64"), (&world.carrier, "2001:db8:1::1/64")]
    {
        six(outside, address, None)?;
        outside.address("lo", "2001:db8:9::9/128")?;
    }
    six(&world.dns, "fd53::10/64", None)?;
    world.dns.ip(&["-6", "route", "add", "default", "dev", "eth0"])?;
    Ok(())
}

/// Gives a namespace IPv6 with an address, and a router if it needs one.
fn six(namespace: &Namespace, address: &str, router: Option<&str>) -> Result<()> {
    namespace.exec(&["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0"])?;
    namespace.address("eth0", address)?;
    if let Some(router) = router {
        namespace.ip(&["-6", "route", "add", "default", "via", router])?;
    }
    Ok(())
}

#[test]
fn everything_is_carried_over_ipv6_too() -> Result<()> {
    let world = World::build()?;
    sixes(&world)?;
    // The tunnel between the nodes goes over IPv6 as well.
    let six = |plan: String| {
        plan.replace("192.168.7.", "fd07::").replace("/24 02:00:00:00:07", "/64 02:00:00:00:07")
    };
    let (plan_a, plan_b) = (format!("{NODE_A}{SIX_A}"), format!("{NODE_B}{SIX_B}"));
    let wire = world.a.frames("eth0")?;
    let world = world.start(&six(plan_a), &six(plan_b))?;
    let [pod1, pod2, _] = &world.pods[..] else { unreachable!("there are three") };
    for to in ["fd10:16:1::12", "fd10:16:2::11", "10.16.2.11"] {
        reaches(pod1, to).with_context(|| world.logs())?;
    }
    let geneve = wire.receive_matching(SOON, |frame| {
        frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(56..58) == Some(&[0x17, 0xc1])
    })?;
    assert!(geneve.is_some(), "nothing in a tunnel was seen");
    for (pod, outside, expected) in
        [(pod1, &world.outside, "2001:db8::10"), (pod2, &world.carrier, "2001:db8:1::10")]
    {
        reaches(pod, "2001:db8:9::9").with_context(|| world.logs())?;
        let server = serve(outside, "[2001:db8:9::9]:7000", "outside")?;
        let (client, answer) = visit(pod, "[2001:db8:9::9]:7000", &server)
            .with_context(|| format!("{expected}\n{}", world.logs()))?;
        assert_eq!((client.as_str(), answer.as_str()), (expected, "outside"));
    }
    // The uplink has told its network of the service.
    let target: std::net::Ipv6Addr = "2001:db8::80".parse()?;
    let told = world.heard.receive_matching(SOON, |frame| {
        frame.get(12..14) == Some(&[0x86, 0xdd])
            && frame.get(54) == Some(&136)
            && frame.get(62..78) == Some(&target.octets())
    })?;
    assert_eq!(told.context("nothing was told")?.get(80..86), Some(&[2, 0, 0, 0, 0x99, 0x10][..]));

    // A service, with a backend here and with one at the peer.
    let near = serve(pod1, "[fd10:16:1::11]:8080", "near")?;
    let far = serve(&world.far, "[fd10:16:2::11]:8080", "far")?;
    let service = "[2001:db8::80]:80";
    let (client, answer) = visit(&world.outside, service, &near).with_context(|| world.logs())?;
    assert_eq!((client.as_str(), answer.as_str()), ("2001:db8::1", "near"));
    world.a.ip(&["link", "set", "pod1", "down"])?;
    world.says("a", "pod1: link down")?;
    let (client, answer) = visit(&world.outside, service, &far).with_context(|| world.logs())?;
    assert_eq!((client.as_str(), answer.as_str()), ("fd10:16:1::1", "far"));

    // Who asks from outside for the pods' router is not answered.
    let outside = world.outside.frames("eth0")?;
    let asker = dp_core::base::MacAddr::new(2, 0, 0, 0, 0x99, 1);
    let question =
        dp_ofproto::tunnel::ask::question(asker, "2001:db8::1".parse()?, "fd10:16:1::1".parse()?);
    outside.send(&question.context("one family")?)?;
    let answered = outside.receive_matching(Duration::from_millis(500), |frame| {
        frame.get(..6) == Some(asker.as_bytes()) && frame.get(54) == Some(&136)
    })?;
    assert!(answered.is_none(), "{answered:?}");
    let report = world.end()?;
    assert!(report.contains("1 questions and connections refused"), "{report}");
    Ok(())
}

#[test]
fn links_name_servers_and_pods_that_come_are_followed_over_ipv6_too() -> Result<()> {
    let world = World::build()?;
    sixes(&world)?;
    let plan = |lines: &str, six: &str| format!("{lines}{six}");
    let world = world.start(&plan(NODE_A, SIX_A), &plan(NODE_B, SIX_B))?;
    world.asks_its_name_server("[fd10:16:1::11]:5353", "[fd53::10]:53")?;

    // Without its default way out, the next one is taken.
    let visited = "2001:db8:9::9";
    for (outside, expected) in
        [(&world.outside, "2001:db8::10"), (&world.carrier, "2001:db8:1::10")]
    {
        reaches(&world.pods[0], visited).with_context(|| world.logs())?;
        let address = format!("[{visited}]:7001");
        let server = serve(outside, &address, "outside")?;
        let (client, answer) =
            visit(&world.pods[0], &address, &server).with_context(|| world.logs())?;
        assert_eq!((client.as_str(), answer.as_str()), (expected, "outside"));
        world.a.ip(&["link", "set", "out0", "down"])?;
        world.says("a", "out0: link down")?;
    }

    // A pod that is bound says by itself that it is there: nobody has asked.
    let owner = &world.pods[2];
    let ping = |from: &Namespace, to: &str| from.exec(&["ping", "-c", "1", "-W", "1", to]);
    assert!(ping(owner, "fd10:16:1::11").is_err(), "it is blocked");
    assert!(ping(&world.pods[0], "fd10:16:1::13").is_err(), "the other way too");
    let mac = dp_core::base::MacAddr::new(2, 0, 0, 0, 0x16, 0x13);
    let port = dp_core::base::OfPort(3);
    let announced = dp_ofproto::gateway::Announcements::default().update(
        "fd10:16:1::13".parse()?,
        mac,
        &std::collections::BTreeMap::new(),
        port,
    );
    owner.frames("eth0")?.send(&announced.context("it is new")?.frame)?;
    for (from, to) in [(owner, "fd10:16:1::11"), (&world.pods[0], "fd10:16:1::13")] {
        reaches(from, to).with_context(|| world.logs())?;
    }
    let report = world.end()?;
    assert!(report.contains("port 3 is active"), "{report}");
    assert!(report.contains("node-local DNS: 2 packets not tracked"), "{report}");
    Ok(())
}

#[test]
fn routes_follow_a_session_on_an_interface_that_carries_nothing_else() -> Result<()> {
    let world = World::build()?;
    // The reference is at the other end, watching as well.
    let peer = Setup::within(&world.watch).start()?;
    let words = "set Interface eth0 bfd:enable=true bfd:min_tx=500 bfd:min_rx=500 \
                 bfd:bfd_src_ip=169.254.30.2 bfd:bfd_dst_ip=169.254.30.1";
    peer.vsctl(&["add-port", BRIDGE, "eth0"])?;
    peer.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    let watch = "bfd bfd0 169.254.30.1 02:00:00:00:30:01 169.254.30.2 out0\n";
    let world = world.start(&format!("{NODE_A}{watch}"), NODE_B)?;
    let pod = world.pods.first().context("there are three")?;
    let ways = [
        (serve(&world.outside, "203.0.113.9:7000", "outside")?, "192.0.2.10", "outside"),
        (serve(&world.carrier, "203.0.113.9:7000", "carrier")?, "198.51.100.10", "carrier"),
    ];
    let goes_by = |(server, address, name): &(Server, &str, &str)| -> Result<()> {
        // Next hops may have to be asked for first.
        reaches(pod, "203.0.113.9").with_context(|| world.logs())?;
        let (client, answer) =
            visit(pod, "203.0.113.9:7000", server).with_context(|| world.logs())?;
        ensure!((client.as_str(), answer.as_str()) == (*address, *name), "{client}, {answer}");
        Ok(())
    };
    world.says("a", "bfd0: BFD up")?;
    goes_by(&ways[0])?;

    // Nothing else comes in there, not even for a pod.
    let (arrived, wire) = (pod.frames("eth0")?, world.watch.frames("eth0")?);
    let mut stray = vec![2, 0, 0, 0, 0x30, 1, 2, 0, 0, 0, 0x30, 2, 8, 0];
    stray.extend([0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0xa7, 0xb5, 169, 254, 30, 2, 10, 16, 1, 11]);
    stray.extend([0x1b, 0x58, 0x1b, 0x58, 0, 8, 0, 0]);
    wire.send(&stray)?;
    reaches(&world.pods[1], "10.16.1.11").with_context(|| world.logs())?;
    let seen = arrived.receive_matching(Duration::from_millis(100), |frame| {
        frame.get(26..30) == Some(&[169, 254, 30, 2])
    })?;
    assert!(seen.is_none(), "{seen:?}");

    // The link stays up; what is beyond it does not.
    peer.vsctl(&["set", "Interface", "eth0", "bfd:enable=false"])?;
    world.says("a", "bfd0: BFD down")?;
    goes_by(&ways[1])?;
    assert!(!world.log("a").contains("out0: link down"), "{}", world.logs());
    Ok(())
}
