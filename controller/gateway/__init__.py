"""Carries browser streams to desktops on each GPU host; knows only tickets and unix sockets."""
