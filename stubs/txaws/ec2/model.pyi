class Instance:
    def __init__(
        self,
        instance_id: str,
        instance_state: str,
        instance_type: str = ...,
        image_id: str = ...,
        private_dns_name: str = ...,
        dns_name: str = ...,
        private_ip_address: str | None = ...,
        ip_address: str | None = ...,
        key_name: str = ...,
        ami_launch_index: str = ...,
        launch_time: str = ...,
        placement: str = ...,
        product_codes: list[str] = ...,
        kernel_id: str | None = ...,
        ramdisk_id: str | None = ...,
        reservation: object = ...,
    ) -> None: ...
    instance_id: str
    instance_state: str
    private_ip_address: str | None
    ip_address: str | None
    launch_time: str
