"""Where units are done: in this process, in several, on a Ray cluster; all by the same schedule."""
