//! What may be said when libdpdk is initialised, and when a port opens.

/// How libdpdk is initialised. Each field is the configuration key of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EalOptions {
    /// The program's name, for its log.
    pub program: String,
    /// `dpdk-lcore-mask`: processors that libdpdk may use itself, in hexadecimal.
    pub lcore_mask: Option<String>,
    /// `dpdk-socket-mem`: MiB of hugepages for each NUMA node at the start, separated by commas.
    pub socket_mem: Option<String>,
    /// `dpdk-socket-limit`: the most for each node, likewise.
    pub socket_limit: Option<String>,
    /// `dpdk-alloc-mem`: MiB of hugepages in all.
    pub alloc_mem: Option<String>,
    /// `dpdk-hugepage-dir`: where hugepages are mounted.
    pub hugepage_dir: Option<String>,
    /// `dpdk-extra`: arguments as libdpdk takes them; they win over the rest.
    pub extra: String,
}

impl EalOptions {
    /// The arguments for libdpdk, the program's name first. What `extra` says is not said again.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let program = if self.program.is_empty() { "dp" } else { &self.program };
        let mut arguments = vec![program.to_owned()];
        let extra: Vec<&str> = self.extra.split_whitespace().collect();
        let said = |names: &[&str]| {
            extra.iter().any(|word| {
                let word = word.split_once('=').map_or(*word, |(word, _)| word);
                names.contains(&word)
            })
        };
        arguments.extend(extra.iter().map(|word| (*word).to_owned()));
        let mut add = |names: &[&str], name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|_| !said(names)) {
                arguments.extend([name.to_owned(), value.to_owned()]);
            }
        };
        let cores = &["-c", "-l", "--lcores"];
        match &self.lcore_mask {
            Some(mask) => add(cores, "-c", Some(mask)),
            None => add(cores, "-l", Some("0")),
        }
        let memory = &["-m", "--socket-mem", "--no-huge"];
        add(memory, "--socket-mem", self.socket_mem.as_deref());
        if self.socket_mem.is_none() {
            add(memory, "-m", self.alloc_mem.as_deref());
        }
        add(&["--socket-limit"], "--socket-limit", self.socket_limit.as_deref());
        add(&["--huge-dir"], "--huge-dir", self.hugepage_dir.as_deref());
        // Nothing of ours is left in the file system, also after a crash.
        if !said(&["--in-memory", "--no-huge", "--no-shconf", "--huge-unlink", "--legacy-mem"]) {
            arguments.push("--in-memory".to_owned());
        }
        arguments
    }

    /// Whether hugepages are to be used.
    #[must_use]
    pub fn uses_hugepages(&self) -> bool {
        !self.extra.split_whitespace().any(|word| word == "--no-huge")
    }
}

/// How a port opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which device, and the driver's own options.
    pub devargs: String,
    /// Receive queues wanted; fewer if the device has fewer.
    pub rx_queues: u16,
    /// Descriptors of a receive queue.
    pub rx_descriptors: u16,
    /// Descriptors of a transmit queue.
    pub tx_descriptors: u16,
    /// The MTU; that of the device if none is asked for.
    pub mtu: Option<u16>,
    /// Whether frames for other addresses are received too.
    pub promiscuous: bool,
    /// Whether checksums and segmentation are left to the device where it can.
    pub offloads: bool,
    /// Frames that have a receive queue of their own, beside the others.
    pub steering: Steering,
    /// Pauses at the link; as the device has them if none is asked for.
    pub pauses: Option<Pauses>,
    /// Whether the device tells of changes of its link by an interrupt; it is asked otherwise.
    pub link_interrupt: bool,
}

/// Which frames have a receive queue of their own, so that a flood cannot push them out of a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steering {
    /// LACP's.
    pub lacp: bool,
    /// BFD's, over IPv4 and IPv6.
    pub bfd: bool,
}

impl Steering {
    /// The value of `rx-steering`: `rss`, with `+lacp` and `+bfd` behind it as wanted.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let mut words = text.split('+');
        if words.next() != Some("rss") {
            return None;
        }
        let mut steering = Self::default();
        for word in words {
            match word {
                "lacp" => steering.lacp = true,
                "bfd" => steering.bfd = true,
                _ => return None,
            }
        }
        Some(steering)
    }

    /// Whether any.
    #[must_use]
    pub const fn any(self) -> bool {
        self.lacp || self.bfd
    }

    /// As `rx-steering` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match (self.lacp, self.bfd) {
            (false, false) => "rss",
            (true, false) => "rss+lacp",
            (false, true) => "rss+bfd",
            (true, true) => "rss+lacp+bfd",
        }
    }
}

/// Ethernet pauses (IEEE 802.3 annex 31B).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// The device obeys pauses.
    pub rx: bool,
    /// The device asks for pauses.
    pub tx: bool,
    /// Both sides agree upon them.
    pub negotiated: bool,
}

impl Options {
    /// A device with one receive queue and 2,048 descriptors a queue.
    #[must_use]
    pub fn new(devargs: &str) -> Self {
        Self {
            devargs: devargs.to_owned(),
            rx_queues: 1,
            rx_descriptors: 2048,
            tx_descriptors: 2048,
            mtu: None,
            promiscuous: true,
            offloads: true,
            steering: Steering::default(),
            pauses: None,
            link_interrupt: false,
        }
    }

    /// The device's name: the devargs without the driver's options.
    #[must_use]
    pub fn device(&self) -> &str {
        self.devargs.split(',').next().unwrap_or_default()
    }
}

/// How a port for guests opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostOptions {
    /// The socket's path; without one no guest ever comes.
    pub socket: Option<String>,
    /// Whether the guest's side makes the socket, and we connect to it and connect again.
    pub client: bool,
    /// Threads that receive from guests; each has its share of a guest's rings.
    pub rx_queues: u16,
    /// The MTU; 1,500 if none is asked for.
    pub mtu: Option<u16>,
    /// How often frames for which a guest's ring has no place are tried again, up to
    /// [`Self::MOST_RETRIES`].
    pub retries: u8,
    /// Whether guests may use an IOMMU of theirs.
    pub iommu: bool,
    /// Whether guests may move to another host before their memory has.
    pub postcopy: bool,
}

impl VhostOptions {
    /// The most tries again.
    pub const MOST_RETRIES: u8 = 32;
    /// Tries again if nothing is asked for.
    pub const RETRIES: u8 = 8;

    /// One receive queue at a socket.
    #[must_use]
    pub fn new(socket: Option<&str>, client: bool) -> Self {
        Self {
            socket: socket.map(str::to_owned),
            client,
            rx_queues: 1,
            retries: Self::RETRIES,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(options: &EalOptions) -> String {
        options.arguments().join(" ")
    }

    #[test]
    fn arguments_follow_the_configuration() {
        let options = EalOptions {
            program: "ovs-vswitchd".into(),
            lcore_mask: Some("0x1".into()),
            socket_mem: Some("128".into()),
            extra: "--no-pci --file-prefix=x".into(),
            ..EalOptions::default()
        };
        let expected = "ovs-vswitchd --no-pci --file-prefix=x -c 0x1 --socket-mem 128 --in-memory";
        assert_eq!(words(&options), expected);
        assert_eq!(words(&EalOptions::default()), "dp -l 0 --in-memory");
    }

    #[test]
    fn what_the_extra_arguments_say_is_not_said_again() {
        let options = EalOptions {
            lcore_mask: Some("0x1".into()),
            socket_mem: Some("128".into()),
            extra: "-l 1 --no-huge -m 256 --no-shconf".into(),
            ..EalOptions::default()
        };
        assert_eq!(words(&options), "dp -l 1 --no-huge -m 256 --no-shconf");
        assert!(!options.uses_hugepages());
    }

    #[test]
    fn steering_is_named_as_it_is_read() {
        for name in ["rss", "rss+lacp", "rss+bfd", "rss+lacp+bfd"] {
            assert_eq!(Steering::named(name).unwrap().name(), name);
        }
        for wrong in ["", "lacp", "rss+", "rss+lldp", "rss lacp"] {
            assert_eq!(Steering::named(wrong), None);
        }
    }

    #[test]
    fn the_device_is_named_before_its_options() {
        assert_eq!(Options::new("net_null1,no-rx=1").device(), "net_null1");
        assert_eq!(Options::new("0000:01:00.0").device(), "0000:01:00.0");
    }
}
