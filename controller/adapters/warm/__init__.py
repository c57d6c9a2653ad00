"""Warm Ansible: a server that has everything of Ansible imported and forks for each run.

ansible-runner starts a program named `ansible-playbook` as ever. That program (`client.py`) hands its
descriptors, arguments, environment and directory to the server (`server.py`), which forks; the child
(`child.py`) is what `ansible-playbook` would have been half a second later. Where the server cannot take the
run, the client becomes the real `ansible-playbook` and says why. `keeper.py` keeps a server running.

Nothing here is known to the services, and nothing here knows of sessions.
"""
