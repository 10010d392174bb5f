"""What the shop keeps in Postgres. Stock is counted (received minus ordered), never stored."""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

# For `Product.objects.annotate(stock=STOCK)`: the pieces still to be sold.
STOCK = F("received") - Coalesce(Sum("orders__quantity"), 0)


class Product(models.Model):
    sku = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=200)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    received = models.PositiveIntegerField(help_text="Pieces that ever came into the warehouse.")
    position = models.PositiveSmallIntegerField(default=0, help_text="Place in the catalogue.")

    class Meta:
        ordering = ("position", "sku")

    def __str__(self) -> str:
        return self.name


class Status(models.TextChoices):
    PLACED = "placed"
    INVOICED = "invoiced"
    SHIPPED = "shipped"


class Order(models.Model):
    product = models.ForeignKey(Product, models.PROTECT, related_name="orders")
    quantity = models.PositiveSmallIntegerField()
    unit_price = models.DecimalField(max_digits=8, decimal_places=2, help_text="The price when it was ordered.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PLACED)
    placed_at = models.DateTimeField(default=timezone.now)
    invoiced_at = models.DateTimeField(null=True)
    shipped_at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(default=timezone.now, help_text="When RabbitMQ was last told about the order.")

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.CheckConstraint(condition=Q(quantity__gte=1), name="order_quantity_positive"),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="order_status_known"),
        )
        indexes = (
            # What the sweep looks through: the few orders still under way.
            models.Index(fields=["queued_at"], condition=~Q(status="shipped"), name="order_under_way"),
        )

    def __str__(self) -> str:
        return f"order {self.pk}"

    @property
    def total(self) -> Decimal:
        return self.unit_price * self.quantity

    def as_json(self) -> dict[str, Any]:
        """The order as the API shows it; times in ISO 8601, amounts as decimal text."""
        invoice = getattr(self, "invoice", None)
        return {
            "id": self.pk,
            "status": self.status,
            "sku": self.product_id,
            "product": self.product.name,
            "quantity": self.quantity,
            "total": str(self.total),
            "invoice": invoice.number if invoice else None,
            "placed_at": self.placed_at.isoformat(),
            "invoiced_at": self.invoiced_at.isoformat() if self.invoiced_at else None,
            "shipped_at": self.shipped_at.isoformat() if self.shipped_at else None,
        }


class Invoice(models.Model):
    order = models.OneToOneField(Order, models.PROTECT, related_name="invoice")
    total = models.DecimalField(max_digits=12, decimal_places=2)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"INV-{self.pk:06d}"
