"""What a user sees in a mount: one file for each place, composed in root.py.

    root.py          the whole mount on one screen
    node.py          what a place is: Node, Directory, File, Symlink, Handle
    numbers.py       inode numbers, made from what a node is
    view.py          the choices of one mount
    static.py        directories, files and links that never change; readme.py the text of README
    contentfile.py   the bytes of a digest: one inode wherever they are shown
    digests.py       directories of digests: blobs/, manifests/, indexes/, images/
    images.py        one image taken apart; its layers.py and platforms.py
    rootfs.py        all layers of an image merged; layerview.py one layer alone
    layerinodes.py   the files of a layer, the same inodes wherever they are shown
    archives.py      an image as one file; layertar.py a layer uncompressed
    imagetrees.py    opens those; trees.py finds them by inode number, recent.py keeps some
    tags.py          repositories and tags; taglink.py one tag
    incoming.py      where content is written; staged.py one file, uploads.py all that are open
    state.py         .ross/: log, statistics, damaged content
    snapshots.py     listings and absences that somebody has to wait for

Nothing here knows FUSE.
"""
