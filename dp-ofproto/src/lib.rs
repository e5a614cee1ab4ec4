//! OpenFlow tables, translation and revalidation over the dp datapath.
