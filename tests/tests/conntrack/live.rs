//! Real hosts through stateful rules and translations.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use testkit::netns::{Namespace, veth_pair};
use testkit::patience::eventually;
use testkit::reference::BRIDGE;

use super::hosts::{
    Client, Echo, Hosts, LEFT, LEFT_MAC, LEFT6, PATIENCE, RIGHT, RIGHT_MAC, RIGHT6, SHARED,
    SHARED6, asks, is_not_answered, is_refused,
};

/// The left may open; the right may answer. What is new goes through `new`.
fn stateful(new: &str) -> String {
    format!(
        "table=0,priority=5,ip,actions=ct(table=1,zone=1,nat)\n\
         table=0,priority=5,ipv6,actions=ct(table=1,zone=1,nat)\n\
         table=1,priority=9,ct_state=+inv+trk,actions=drop\n\
         table=1,priority=8,ct_state=+est+trk,actions=goto_table:2\n\
         table=1,priority=8,ct_state=+rel-new+trk,actions=goto_table:2\n\
         {new}\
         table=2,in_port=1,actions=2\n\
         table=2,in_port=2,actions=1\n"
    )
}

fn ping(host: &Namespace, to: &str, size: &str) -> Result<()> {
    host.exec(&["ping", "-c", "2", "-i", "0.1", "-W", "2", "-s", size, to])?;
    Ok(())
}

#[test]
fn one_side_opens_and_the_other_answers() -> Result<()> {
    let hosts = Hosts::start()?;
    hosts.flows(&stateful(
        "table=1,priority=5,in_port=1,ct_state=+new+trk,ip,actions=ct(commit,zone=1,table=2)\n\
         table=1,priority=5,in_port=1,ct_state=+new+trk,ipv6,actions=ct(commit,zone=1,table=2)\n",
    ))?;
    for (left, right) in [(LEFT, RIGHT), (&*format!("[{LEFT6}]"), &*format!("[{RIGHT6}]"))] {
        let there = Echo::tcp(&hosts.right, &format!("{right}:0"), "right")?;
        let here = Echo::tcp(&hosts.left, &format!("{left}:0"), "left")?;
        let mut client = Client::connect(&hosts.left, &there.address.to_string())?;
        client.echo(300_000).with_context(|| hosts.switch.log_tail())?;
        ensure!(is_refused(&hosts.right, &here.address.to_string()), "{right} opens nothing");
        let there = Echo::udp(&hosts.right, &format!("{right}:0"))?;
        let here = Echo::udp(&hosts.left, &format!("{left}:0"))?;
        asks(&hosts.left, &there.address.to_string(), 100, PATIENCE)?;
        ensure!(is_not_answered(&hosts.right, &here.address.to_string()), "{right} asks in vain");
    }
    for (left, right) in [(LEFT, RIGHT), (LEFT6, RIGHT6)] {
        ping(&hosts.left, right, "56")?;
        ensure!(ping(&hosts.right, left, "56").is_err(), "{right} pings in vain");
    }
    let all = hosts.connections()?;
    for (proto, least) in [("tcp,", 2), ("udp,", 2), ("icmp,", 1), ("icmpv6,", 1)] {
        ensure!(all.lines().filter(|line| line.starts_with(proto)).count() >= least, "{all}");
    }
    // A port that nobody listens to: the error that says so is related, and the client hears it.
    let at_once = asks(&hosts.left, &format!("{RIGHT}:9"), 10, PATIENCE);
    let error = at_once.err().context("nobody answers")?;
    ensure!(format!("{error:#}").contains("refused"), "{error:#}");
    Ok(())
}

#[test]
fn a_service_address_leads_to_all_its_backends() -> Result<()> {
    let hosts = Hosts::start()?;
    for address in ["10.1.0.3/24", "fd00:1::3/64"] {
        hosts.right.address("eth0", address)?;
    }
    let mut servers = Vec::new();
    for (address, name) in [
        ("10.1.0.2:8080", "one"),
        ("10.1.0.3:8080", "two"),
        ("[fd00:1::2]:8080", "one"),
        ("[fd00:1::3]:8080", "two"),
    ] {
        servers.push(Echo::tcp(&hosts.right, address, name)?);
    }
    for (number, one, two) in [(4, "10.1.0.2", "10.1.0.3"), (6, "[fd00:1::2]", "[fd00:1::3]")] {
        let bucket = |to: &str| {
            format!("bucket=weight:100,actions=ct(commit,zone=1,table=2,nat(dst={to}:8080))")
        };
        let group = format!(
            "group_id={number},type=select,selection_method=hash,\
             fields(tcp_src),{},{}",
            bucket(one),
            bucket(two)
        );
        hosts.switch.ofctl(&["-OOpenFlow15", "add-group", BRIDGE, &group])?;
    }
    hosts.flows(&stateful(&format!(
        "table=1,priority=5,in_port=1,ct_state=+new+trk,tcp,nw_dst={SHARED},tp_dst=80,actions=group:4\n\
         table=1,priority=5,in_port=1,ct_state=+new+trk,tcp6,ipv6_dst={SHARED6},tp_dst=80,actions=group:6\n"
    )))?;
    for service in [format!("{SHARED}:80"), format!("[{SHARED6}]:80")] {
        let mut reached = BTreeSet::new();
        for _ in 0..40 {
            let mut client =
                Client::connect(&hosts.left, &service).with_context(|| hosts.switch.log_tail())?;
            client.echo(5_000)?;
            reached.insert(client.server);
        }
        ensure!(reached.len() == 2, "{service} leads to {reached:?}");
    }
    Ok(())
}

#[test]
fn an_address_is_shared_by_ports_until_none_is_left() -> Result<()> {
    for (own, there, shared) in [
        (LEFT, RIGHT, SHARED),
        (&*format!("[{LEFT6}]"), &*format!("[{RIGHT6}]"), &*format!("[{SHARED6}]")),
    ] {
        let hosts = Hosts::start()?;
        let server = Echo::tcp(&hosts.right, &format!("{there}:0"), "right")?;
        let protocol = if own.starts_with('[') { "tcp6" } else { "tcp" };
        hosts.flows(&stateful(&format!(
            "table=1,priority=5,in_port=1,ct_state=+new+trk,{protocol},\
             actions=ct(commit,zone=1,table=2,nat(src={shared}:5000-5003))\n"
        )))?;
        let to = server.address.to_string();
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client =
                Client::connect(&hosts.left, &to).with_context(|| hosts.switch.log_tail())?;
            clients.push(client);
        }
        let seen: BTreeSet<u16> = clients.iter().map(|client| client.seen.port()).collect();
        ensure!(seen == (5000..5004).collect(), "{seen:?}");
        for client in &mut clients {
            ensure!(
                client.seen.ip() == shared.trim_matches(['[', ']']).parse::<std::net::IpAddr>()?
            );
            client.echo(20_000)?;
        }
        ensure!(is_refused(&hosts.left, &to), "a fifth has no port");
        ensure!(hosts.counted("drop_action_nat_exhausted")? > 0, "and is counted");
        ensure!(hosts.counted("conntrack_nat_exhausted")? > 0, "and is counted");
        // Ports of connections that are over can be had again.
        drop(clients);
        eventually("all have finished", PATIENCE, || {
            let all = hosts.connections().ok()?;
            (all.matches("state=TIME_WAIT").count() == 4).then_some(())
        });
        hosts.switch.appctl(&["dpctl/flush-conntrack", "zone=1"])?;
        Client::connect(&hosts.left, &to)?.echo(1000)?;
    }
    Ok(())
}

#[test]
fn datagrams_and_pings_share_the_address_too() -> Result<()> {
    let hosts = Hosts::start()?;
    hosts.flows(&stateful(&format!(
        "table=1,priority=5,in_port=1,ct_state=+new+trk,ip,\
         actions=ct(commit,zone=1,table=2,nat(src={SHARED}:5000-5003))\n\
         table=1,priority=5,in_port=1,ct_state=+new+trk,ipv6,\
         actions=ct(commit,zone=1,table=2,nat(src=[{SHARED6}]:5000-5003))\n"
    )))?;
    for (there, bound, shared, icmp) in [
        (RIGHT, format!("{RIGHT}:0"), SHARED, "icmp,"),
        (RIGHT6, format!("[{RIGHT6}]:0"), SHARED6, "icmpv6,"),
    ] {
        let server = Echo::udp(&hosts.right, &bound)?;
        for _ in 0..4 {
            asks(&hosts.left, &server.address.to_string(), 1000, PATIENCE)
                .with_context(|| hosts.switch.log_tail())?;
        }
        ping(&hosts.left, there, "56")?;
        let all = hosts.connections()?;
        let answered = format!("dst={shared},");
        let of = |proto: &str| -> Vec<String> {
            let lines = all.lines().filter(|line| line.starts_with(proto));
            let replies = lines.filter_map(|line| line.split_once("reply=(")).map(|it| it.1);
            replies.filter(|reply| reply.contains(&answered)).map(str::to_owned).collect()
        };
        let ports: BTreeSet<u16> = of("udp,")
            .iter()
            .filter_map(|reply| {
                reply.split_once("dport=")?.1.split([')', ',']).next()?.parse().ok()
            })
            .collect();
        ensure!(ports == (5000..5004).collect(), "{ports:?}\n{all}");
        ensure!(!of(icmp).is_empty(), "{all}");
        ensure!(is_not_answered(&hosts.left, &server.address.to_string()), "a fifth has no port");
    }
    Ok(())
}

#[test]
fn datagrams_in_pieces_are_tracked_and_translated_as_one() -> Result<()> {
    let hosts = Hosts::start()?;
    let mut servers = Vec::new();
    for address in [format!("{RIGHT}:7000"), format!("[{RIGHT6}]:7000")] {
        servers.push(Echo::udp(&hosts.right, &address)?);
    }
    hosts.flows(&stateful(&format!(
        "table=1,priority=5,in_port=1,ct_state=+new+trk,ip,ct_nw_dst={SHARED},ct_nw_proto=17,ct_tp_dst=700,\
         actions=ct(commit,zone=1,table=2,nat(dst={RIGHT}:7000))\n\
         table=1,priority=5,in_port=1,ct_state=+new+trk,ipv6,ct_ipv6_dst={SHARED6},ct_nw_proto=17,ct_tp_dst=700,\
         actions=ct(commit,zone=1,table=2,nat(dst=[{RIGHT6}]:7000))\n\
         table=1,priority=4,in_port=1,ct_state=+new+trk,ip,actions=ct(commit,zone=1,table=2)\n\
         table=1,priority=4,in_port=1,ct_state=+new+trk,ipv6,actions=ct(commit,zone=1,table=2)\n"
    )))?;
    for to in [
        format!("{SHARED}:700"),
        format!("[{SHARED6}]:700"),
        format!("{RIGHT}:7000"),
        format!("[{RIGHT6}]:7000"),
    ] {
        for len in [100, 9000, 1473, 9000, 30_000] {
            asks(&hosts.left, &to, len, PATIENCE)
                .with_context(|| format!("{to}, {len} bytes\n{}", hosts.switch.log_tail()))?;
        }
    }
    for to in [RIGHT, RIGHT6] {
        ping(&hosts.left, to, "9000")?;
    }
    let status = hosts.switch.appctl(&["dpctl/ipf-get-status"])?;
    for family in ["v4", "v6"] {
        let completed = status
            .lines()
            .find_map(|line| line.trim().strip_prefix(&format!("{family} frags completed: ")))
            .context("a figure")?;
        ensure!(completed.parse::<u64>()? > 100, "{status}");
    }
    Ok(())
}

#[test]
fn the_size_of_the_path_is_found_behind_a_translation() -> Result<()> {
    let hosts = Hosts::start()?;
    let far = Namespace::new("ct-far")?;
    veth_pair((&hosts.right, "eth1"), (&far, "eth0"))?;
    hosts.right.set("net/ipv4/ip_forward", "1")?;
    hosts.right.set("net/ipv6/conf/all/forwarding", "1")?;
    for (host, interface, address) in [
        (&hosts.right, "eth1", "10.2.0.1/24"),
        (&hosts.right, "eth1", "fd00:2::1/64"),
        (&far, "eth0", "10.2.0.2/24"),
        (&far, "eth0", "fd00:2::2/64"),
    ] {
        host.address(interface, address)?;
    }
    // The way on is narrow; the far host does not know.
    hosts.right.ip(&["link", "set", "eth1", "mtu", "1300"])?;
    for (net, left, far_left) in [
        ("10.2.0.0/24", "10.1.0.2", ["10.1.0.0/24", "10.2.0.1"]),
        ("fd00:2::/64", RIGHT6, ["fd00:1::/64", "fd00:2::1"]),
    ] {
        hosts.left.ip(&["route", "add", net, "via", left])?;
        far.ip(&["route", "add", far_left[0], "via", far_left[1]])?;
    }
    hosts.flows(&stateful(&format!(
        "table=1,priority=5,in_port=1,ct_state=+new+trk,ip,\
         actions=ct(commit,zone=1,table=2,nat(src={SHARED}))\n\
         table=1,priority=5,in_port=1,ct_state=+new+trk,ipv6,\
         actions=ct(commit,zone=1,table=2,nat(src={SHARED6}))\n"
    )))?;
    for (address, to) in [("10.2.0.2", "10.2.0.2"), ("[fd00:2::2]", "fd00:2::2")] {
        // It reads and does not answer: its own large segments would not fit.
        let sink = far.within(|| std::net::TcpListener::bind(format!("{address}:0")))??;
        let server = sink.local_addr()?;
        let reading = std::thread::spawn(move || -> Result<u64> {
            let (mut stream, _) = sink.accept()?;
            Ok(std::io::copy(&mut stream, &mut std::io::sink())?)
        });
        let mut stream =
            hosts.left.within(|| std::net::TcpStream::connect_timeout(&server, PATIENCE))??;
        stream.set_write_timeout(Some(PATIENCE))?;
        std::io::Write::write_all(&mut stream, &vec![7; 400_000])?;
        drop(stream);
        let read = reading.join().map_err(|_| anyhow::anyhow!("the reader"))??;
        ensure!(read == 400_000, "{read}");
        let route = hosts.left.ip(&["route", "get", to])?;
        ensure!(route.contains("mtu 1300"), "the sender has heard of it: {route}");
    }
    Ok(())
}

#[test]
fn a_host_reaches_itself_by_its_service_address() -> Result<()> {
    let hosts = Hosts::start()?;
    for (ip, own, service, address, dst) in [
        ("ip", LEFT, SHARED, format!("{LEFT}:8080"), "nw_dst"),
        ("ipv6", LEFT6, SHARED6, format!("[{LEFT6}]:8080"), "ipv6_dst"),
    ] {
        let server = Echo::tcp(&hosts.left, &address, "itself")?;
        let src = dst.replace("dst", "src");
        let shared = if ip == "ip" { service.to_owned() } else { format!("[{service}]") };
        let back = format!("set_field:{LEFT_MAC}->eth_dst,set_field:{RIGHT_MAC}->eth_src,in_port");
        // In one zone the service becomes the host, in the other the host becomes the service.
        hosts.flows(&format!(
            "table=0,priority=5,in_port=1,{ip},actions=ct(table=1,zone=2,nat)\n\
             table=1,{ip},actions=ct(table=2,zone=1,nat)\n\
             table=2,priority=9,ct_state=+inv+trk,actions=drop\n\
             table=2,priority=8,ct_state=+new+trk,{ip},{dst}={service},\
             actions=ct(commit,zone=1,table=3,nat(dst={address}))\n\
             table=2,priority=7,ct_state=+est+trk,actions=goto_table:3\n\
             table=3,priority=5,{ip},{src}={own},{dst}={own},\
             actions=ct(commit,zone=2,table=4,nat(src={shared}))\n\
             table=3,priority=1,actions=goto_table:4\n\
             table=4,actions={back}\n"
        ))?;
        let mut client = Client::connect(&hosts.left, &format!("{shared}:80"))
            .with_context(|| format!("{:?}\n{}", hosts.connections(), hosts.switch.log_tail()))?;
        client.echo(50_000)?;
        ensure!(client.seen.ip().to_string() == service, "{} is seen", client.seen);
        drop(server);
    }
    Ok(())
}
