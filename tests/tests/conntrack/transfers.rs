//! FTP and TFTP: real clients and servers, whose connections announce others.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::patience;
use testkit::process::Guarded;

use super::hosts::{Hosts, RIGHT, RIGHT6, SHARED, SHARED6};

/// Control connections may be opened by the left; beside them only what they announce. `nat` is what
/// a new one is translated to in each family, and `named` whom a client names.
fn helped(protocol: [&str; 2], port: u16, helper: &str, nat: [&str; 2]) -> String {
    let mut out = String::from(
        "table=0,priority=5,ip,actions=ct(table=1,zone=1,nat)\n\
         table=0,priority=5,ipv6,actions=ct(table=1,zone=1,nat)\n\
         table=1,priority=9,ct_state=+inv+trk,actions=drop\n\
         table=1,priority=8,ct_state=+est+trk,actions=goto_table:2\n\
         table=1,priority=8,ct_state=+rel-new+trk,actions=goto_table:2\n\
         table=1,priority=7,ct_state=+new+rel+trk,ip,actions=ct(commit,zone=1,table=2,nat)\n\
         table=1,priority=7,ct_state=+new+rel+trk,ipv6,actions=ct(commit,zone=1,table=2,nat)\n\
         table=2,in_port=1,actions=2\n\
         table=2,in_port=2,actions=1\n",
    );
    for (protocol, nat) in protocol.iter().zip(nat) {
        out += &format!(
            "table=1,priority=5,in_port=1,ct_state=+new+trk,{protocol},tp_dst={port},\
             actions=ct(commit,zone=1,table=2,alg={helper}{nat})\n"
        );
    }
    out
}

/// A folder with files to fetch, gone with its guard.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("dp-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("upload"))?;
        fs::write(path.join("file"), content())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        fs::set_permissions(path.join("upload"), fs::Permissions::from_mode(0o777))?;
        Ok(Self(path))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn content() -> Vec<u8> {
    (0..200_000u32).flat_map(u32::to_be_bytes).collect()
}

/// vsftpd on all addresses of the right host, for anybody.
fn ftp_server(hosts: &Hosts, files: &Files) -> Result<Guarded> {
    testkit::packages::ensure(&["vsftpd", "curl"])?;
    fs::create_dir_all("/var/run/vsftpd/empty")?;
    let settings = format!(
        "listen=NO\nlisten_ipv6=YES\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\nwrite_enable=YES\n\
         anon_upload_enable=YES\nanon_root={}\nanon_umask=022\nconnect_from_port_20=YES\n\
         port_enable=YES\npasv_enable=YES\nseccomp_sandbox=NO\nxferlog_enable=NO\n\
         no_anon_password=YES\n\
         secure_chroot_dir=/var/run/vsftpd/empty\n",
        files.path()
    );
    let path = hosts.switch.folder().join("vsftpd.conf");
    fs::write(&path, settings)?;
    let server = hosts.right.spawn(&["vsftpd", &path.to_string_lossy()])?;
    patience::wait(Duration::from_secs(10), || {
        let sockets = hosts.right.exec(&["ss", "-Hltn", "sport", "=", ":21"]).ok()?;
        (!sockets.is_empty()).then_some(())
    })
    .context("vsftpd listens")?;
    Ok(server)
}

/// Fetches the file and brings it back, in each of the ways that clients have.
fn ftp_in_all_ways(hosts: &Hosts, files: &Files, server: &str) -> Result<()> {
    let v6 = server.starts_with('[');
    let got = files.0.join("got");
    let got = got.to_string_lossy();
    let ways: &[&[&str]] = if v6 {
        &[&["--ftp-port", "-"], &["--ftp-pasv"]]
    } else {
        &[
            &["--ftp-port", "-", "--disable-eprt"],
            &["--ftp-port", "-"],
            &["--ftp-pasv", "--disable-epsv"],
            &["--ftp-pasv"],
        ]
    };
    for way in ways {
        let curl =
            ["curl", "--silent", "--show-error", "--max-time", "20", "--connect-timeout", "5"];
        let from = format!("ftp://{server}/file");
        let why = || {
            let all = hosts.connections().unwrap_or_default();
            format!("{way:?} of {server}\n{all}\n{}", hosts.switch.log_tail())
        };
        hosts
            .left
            .exec(&[&curl[..], way, &["--output", &got, &from]].concat())
            .with_context(why)?;
        ensure!(fs::read(&*got)? == content(), "{way:?}: the file is what it was");
        let name = format!("up{}", way.len() + way.iter().map(|word| word.len()).sum::<usize>());
        let to = format!("ftp://{server}/upload/{name}");
        hosts
            .left
            .exec(&[&curl[..], way, &["--upload-file", &got, &to]].concat())
            .with_context(why)?;
        let up = files.0.join("upload").join(&name);
        ensure!(fs::read(&up)? == content(), "{way:?}: the file has come over");
        fs::remove_file(up)?;
    }
    Ok(())
}

fn ftp(name: &str, nat: [&str; 2], servers: [&str; 2]) -> Result<()> {
    let hosts = Hosts::start()?;
    let files = Files::new(name)?;
    let _server = ftp_server(&hosts, &files)?;
    hosts.flows(&helped(["tcp", "tcp6"], 21, "ftp", nat))?;
    for server in servers {
        ftp_in_all_ways(&hosts, &files, server)?;
    }
    let all = hosts.connections()?;
    ensure!(all.contains("helper=ftp"), "{all}");
    Ok(())
}

#[test]
fn ftp_works_in_all_its_ways() -> Result<()> {
    ftp("ftp", ["", ""], [RIGHT, &format!("[{RIGHT6}]")])
}

#[test]
fn ftp_works_from_behind_an_address() -> Result<()> {
    let nat = [format!(",nat(src={SHARED})"), format!(",nat(src=[{SHARED6}])")];
    ftp("ftp-src", [&nat[0], &nat[1]], [RIGHT, &format!("[{RIGHT6}]")])
}

#[test]
fn ftp_works_to_a_service_address() -> Result<()> {
    let nat = [format!(",nat(dst={RIGHT})"), format!(",nat(dst=[{RIGHT6}])")];
    ftp("ftp-dst", [&nat[0], &nat[1]], [SHARED, &format!("[{SHARED6}]")])
}

#[test]
fn tftp_works_with_and_without_translations() -> Result<()> {
    testkit::packages::ensure(&["tftpd-hpa", "tftp-hpa"])?;
    let hosts = Hosts::start()?;
    let files = Files::new("tftp")?;
    fs::write(files.0.join("upload/up"), b"")?;
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions(files.0.join("upload/up"), everybody)?;
    let _server = hosts.right.spawn(&[
        "in.tftpd",
        "--foreground",
        "--secure",
        "--user",
        "nobody",
        files.path(),
    ])?;
    patience::wait(Duration::from_secs(10), || {
        let sockets = hosts.right.exec(&["ss", "-Hlun", "sport", "=", ":69"]).ok()?;
        (!sockets.is_empty()).then_some(())
    })
    .context("in.tftpd listens")?;
    let small: Vec<u8> = content().into_iter().take(20_000).collect();
    fs::write(files.0.join("file"), &small)?;
    let got = files.0.join("got");
    let source = [format!(",nat(src={SHARED})"), format!(",nat(src=[{SHARED6}])")];
    let service = [format!(",nat(dst={RIGHT})"), format!(",nat(dst=[{RIGHT6}])")];
    for (nat, servers) in [
        (["", ""], [RIGHT, RIGHT6]),
        ([&*source[0], &source[1]], [RIGHT, RIGHT6]),
        ([&service[0], &service[1]], [SHARED, SHARED6]),
    ] {
        hosts.switch.appctl(&["dpctl/flush-conntrack"])?;
        hosts.flows(&helped(["udp", "udp6"], 69, "tftp", nat))?;
        for server in servers {
            let why = || format!("{nat:?} {server}: {}", hosts.connections().unwrap_or_default());
            let path = got.to_string_lossy();
            let family = if server.contains(':') { "-6" } else { "-4" };
            let tftp = ["timeout", "20", "tftp", family, "-m", "binary", server, "-c"];
            hosts.left.exec(&[&tftp[..], &["get", "file", &path]].concat()).with_context(why)?;
            ensure!(fs::read(&got)? == small, "the file is what it was; {}", why());
            hosts
                .left
                .exec(&[&tftp[..], &["put", &path, "upload/up"]].concat())
                .with_context(why)?;
            ensure!(fs::read(files.0.join("upload/up"))? == small, "it has come over; {}", why());
        }
    }
    ensure!(hosts.connections()?.contains("helper=tftp"));
    Ok(())
}
