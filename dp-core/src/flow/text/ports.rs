//! Names of datapath ports in text.

use std::collections::HashMap;

use crate::base::PortNo;

/// Knows the ports of a datapath by name.
pub trait DpPorts {
    /// The port of this name.
    fn number(&self, name: &str) -> Option<PortNo>;
    /// The name of this port; `None`: it is printed as a number.
    fn name(&self, port: PortNo) -> Option<&str>;
}

/// No names: ports are numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct PortNumbers;

impl DpPorts for PortNumbers {
    fn number(&self, _name: &str) -> Option<PortNo> {
        None
    }

    fn name(&self, _port: PortNo) -> Option<&str> {
        None
    }
}

/// Names held in a map.
#[derive(Clone, Debug, Default)]
pub struct PortTable {
    names: HashMap<PortNo, String>,
    numbers: HashMap<String, PortNo>,
}

impl<S: Into<String>> FromIterator<(PortNo, S)> for PortTable {
    fn from_iter<I: IntoIterator<Item = (PortNo, S)>>(ports: I) -> Self {
        let mut table = Self::default();
        for (port, name) in ports {
            let name = name.into();
            table.numbers.insert(name.clone(), port);
            table.names.insert(port, name);
        }
        table
    }
}

impl DpPorts for PortTable {
    fn number(&self, name: &str) -> Option<PortNo> {
        self.numbers.get(name).copied()
    }

    fn name(&self, port: PortNo) -> Option<&str> {
        self.names.get(&port).map(String::as_str)
    }
}

/// Takes names when reading, and prints numbers: what a dump without `--names` does.
#[derive(Clone, Copy)]
pub struct Unnamed<'a>(pub &'a dyn DpPorts);

impl DpPorts for Unnamed<'_> {
    fn number(&self, name: &str) -> Option<PortNo> {
        self.0.number(name)
    }

    fn name(&self, _port: PortNo) -> Option<&str> {
        None
    }
}
