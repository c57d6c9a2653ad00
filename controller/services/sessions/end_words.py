"""Why a session ended that nobody wanted to end, and what its owner should know and can do then."""

DESKTOP_GONE = "the desktop stopped unexpectedly"
HOST_GONE = "the GPU host stopped answering"

ADVICE = {
    DESKTOP_GONE: "It was billed to its last sign of life and no further. Open programs are gone, saved files"
    " are not. Relaunch it; if it stops again, a program may take more memory than this profile has: try a"
    " larger one.",
    HOST_GONE: "It was billed to its last sign of life and no further. Saved files lie on that host and,"
    " where one was made, in a copy on another. Relaunch it; if it does not start, ask the operator about"
    " that host.",
}
