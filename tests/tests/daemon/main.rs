//! The daemon as its users see it: the tools of the reference, unmodified, on a real database, and
//! the process as service managers and the installed scripts run it.

mod columns;
mod database;
mod hostile;
mod process;
mod service;
mod switch;
mod tools;
