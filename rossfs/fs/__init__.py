"""The kernel's side of the mount: requests, inode table, cache times.  Only this package imports
pyfuse3.

Requests:

    filesystem.py   what is in this list, put together over a root directory
    operations.py   one handler for each kind of request: asks nodes, answers the kernel
    openfiles.py    the handlers of open files
    boundary.py     what a node raised -> the errno that the caller gets
    inodes.py       the nodes that the kernel knows, with lookup counts
    attributes.py   what a node says of itself -> what pyfuse3 wants
    readdir.py      listings: pages.py makes the replies, ahead.py some before they are asked for
    device.py       the requests themselves (wire.py); direct.py answers some of them
    ending.py       whether somebody who waits was asked to end
    handles.py      numbers of open files
    settling.py     waiting until a directory can answer
    turns.py        waiting for requests without turns of the scheduler
    statfs.py       room on the store's filesystem
    rewrite.py      opening published content for writing: ESTALE, walk again, write elsewhere
    notify.py       what other processes change in the store -> what the kernel shall forget

The life of a mount:

    mount.py        the command: check, then serve here or in a process of its own (daemon.py)
    session.py      from the store to the last request: gives the handlers to pyfuse3
    options.py      what stands behind -o
    mountpoint.py   what may be mounted on, and dead mounts there (mountinfo.py, presence.py)
    unmount.py      taking a mount away, never without a deadline (blocking.py)
    readiness.py    telling who started the server; capture.py and log.py: in whose words

Concurrency.  One trio task serves each request; all run in one thread, so between two awaits
nothing else runs and there is no lock.  After an await whatever other requests change (inode table,
marks, what is watched) must be read again.  A lookup or getattr of what is in memory does not even
pass a checkpoint.  Whatever may wait for a disk is awaited in a worker thread by the nodes.

Lookup counts (`man 4 fuse`, libfuse fuse_lowlevel.h).  The kernel knows an inode from the answer of
LOOKUP, CREATE, MKNOD, MKDIR, SYMLINK, LINK and from each entry of READDIRPLUS that has a node id;
each of these answers counts one, and FORGET takes counts back.  While the count is above zero the
node object stays in the table, and it stays the same object.  "." and ".." and entries without a
node never count.  The count is raised in the same step that makes the answer, so that no other
request comes between.

Cache times.  A node's `ttl` goes to the kernel for its name and its attributes.  What is named by
its digest has a year; what another process may change has at most a second, and is watched besides.
A missing name is believed for its directory's `negative_ttl`, by default not at all.

Invalidation.  notify.py asks pyfuse3's notifying thread to drop names.  In the kernel that takes
the lock of the directory, which a waiting request of any process may hold; were the server killed
just then, the connection would hang.  Hence nothing is sent while a handler for that directory is
waiting, for what this mount changed itself, or for places with ttl 0.

Errors.  Only FUSEError may leave a handler: another exception would end pyfuse3's main loop with
all callers blocked.  So each handler is one try, and what nobody foresaw is logged and answered
EIO.
"""
