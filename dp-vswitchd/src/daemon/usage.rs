//! What `--help` and `--version` print.

use super::paths::Paths;

/// The version whose behaviour this switch has, as programs that compare versions expect it.
pub(crate) const COMPATIBLE: &str = "3.5.0";

/// The line of `--version` and of the command `version`.
pub(crate) fn version(program: &str) -> String {
    format!("{program} (Open vSwitch) {COMPATIBLE}")
}

/// The text of `--help`.
pub(crate) fn help(paths: &Paths) -> String {
    let (program, run, log) = (&paths.program, paths.run.display(), paths.log.display());
    format!(
        "{program}: dp virtual switch daemon
usage: {program} [OPTIONS] [DATABASE]
where DATABASE is a socket on which ovsdb-server is listening
      (default: \"unix:{run}/db.sock\"),
      or file:PATH for a database that this process serves itself
       {program} sandbox [FOLDER]
      runs a throw-away switch in the foreground

Active DATABASE connection methods:
  tcp:HOST:PORT           PORT at remote HOST
  ssl:HOST:PORT           SSL/TLS PORT at remote HOST
  unix:FILE               Unix domain socket named FILE
PKI configuration (required to use SSL/TLS):
  -p, --private-key=FILE  file with private key
  -c, --certificate=FILE  file with certificate for private key
  -C, --ca-cert=FILE      file with peer CA certificate
  --bootstrap-ca-cert=FILE  file with peer CA certificate to read or create
SSL/TLS options:
  --ssl-protocols=PROTOS    range of SSL/TLS protocols to enable
  --ssl-ciphers=CIPHERS     list of SSL/TLS ciphers to enable
                            with TLSv1.2 and earlier
  --ssl-ciphersuites=SUITES list of SSL/TLS ciphersuites to
                            enable with TLSv1.3 and later

Daemon options:
  --detach                run in background as daemon
  --monitor               creates a process to monitor this daemon
  --user=username[:group] changes the effective daemon user:group
  --no-chdir              do not chdir to '/'
  --pidfile[=FILE]        create pidfile (default: {run}/{program}.pid)
  --overwrite-pidfile     with --pidfile, start even if already running
  --mlockall              keep the process in memory
  --no-self-confinement   let the database name sockets outside of {run}
  --hw-rawio-access       with --user, keep access to ports and memory of devices

DPDK is configured through the database: --dpdk is refused.

Logging options:
  -vSPEC, --verbose=SPEC   set logging levels
  -v, --verbose            set maximum verbosity level
  --log-file[=FILE]        enable logging to specified FILE
                           (default: {log}/{program}.log)
  --syslog-method=(libc|unix:file|udp:ip:port)
                           specify how to send messages to syslog daemon
  --syslog-target=HOST:PORT  also send syslog msgs to HOST:PORT via UDP

Test options:
  --enable-dummy[=override|system]  make the dummy datapath and ports
  --disable-system          do without the kernel's datapath
  --disable-system-route    do without the kernel's routes
  --dummy-numa=N[,N...]     invent cores, each on the NUMA node given

Other options:
  --unixctl=SOCKET          override default control socket name
  -h, --help                display this help message
  -V, --version             display version information
"
    )
}
