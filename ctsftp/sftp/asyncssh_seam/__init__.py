"""All that is patched in, or assumed, of asyncssh: the one place to review before another version of it is taken.

pyproject.toml pins `asyncssh>=2.24.1,<2.25`. 2.24.0 lets a path leave its root; a newer one than 2.24 may change what
has no promise, and is used here since asyncssh has no public way to:

- bound the work of a peer, before and after its login (`connection.py`: `data_received`, `_recv_handler`,
  `_finish_recv_packet`, `_inpbuf`, `_send_kexinit`, `_cleanup`, the channel's `_accept_data`);
- prefer a cipher that the peer names later (`ciphers.py`: `_send_kexinit`, `process_packet`, `_enc_algs`);
- let key exchanges wait for their turn, hear of those that fail, and refuse weak groups (`exchange.py`: the tables
  `_packet_handlers` and `_kex_handlers`, `_KexDHGex`);
- say which signatures a key may make (`keys.py`: `all_sig_algorithms`, `sig_algorithms`);
- bound what a channel holds, and wait for its window (`stream.py`: `_recv_buf`, `_limit`);
- tell an explicit CLOSE from a connection that broke, and choose which requests there are (`handler.py`).

tests/sftp/asyncssh_seam/ holds each of these. Everything else in `sftp/` uses what asyncssh documents.
"""
