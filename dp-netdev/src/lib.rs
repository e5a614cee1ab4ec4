//! Ports, poll-mode threads and flow installation of the dp virtual switch datapath.
