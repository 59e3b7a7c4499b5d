"""One package a deployed function: handlers of a few lines that bind the AWS world to an entry."""
