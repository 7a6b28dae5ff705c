"""Mails that wait to be sent, each with its Message-ID fixed."""
